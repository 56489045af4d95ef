"""The rejections of a protected resource, with a challenge for each scheme."""

from __future__ import annotations

from collections.abc import Mapping

from grantway._processes.copies import OneProcess
from grantway_plugins.server._proofs.algorithms import ALGORITHMS
from grantway_plugins.server._proofs.nonces import Nonces

from ._challenge import challenge
from ._errors import AccessDeniedError
from ._metadata import metadata_url

#: Schemes of tokens (RFC 6750, RFC 9449), and how challenges spell them.
BEARER, DPOP = "bearer", "dpop"
SCHEMES = {BEARER: "Bearer", DPOP: "DPoP"}
INVALID, UNAUTHORIZED, FORBIDDEN = 400, 401, 403


class Denials(OneProcess):
    """Makes the errors for requests that are rejected.

    Args:
        resource: The resource identifier.
        proofs: Whether DPoP proofs are accepted.
        nonces: The nonces that proofs need, or None.
    """

    def __init__(self, resource: str, *, proofs: bool, nonces: Nonces | None) -> None:
        self.metadata_url = metadata_url(resource)
        self._proofs, self._nonces = proofs, nonces

    def denied(
        self,
        problem: str,
        code: str,
        scheme: str,
        members: Mapping[str, str] | None = None,
        *,
        status: int = UNAUTHORIZED,
    ) -> AccessDeniedError:
        """Return the error with a challenge for each scheme; the one that was used comes first.

        Args:
            problem: The description of the problem.
            code: The error code; empty if the request has no credentials.
            scheme: The scheme that the request used.
            members: Further parameters of the challenge.
            status: The status of the response.
        """
        if not self._proofs:
            scheme = BEARER
        parameters = {
            "error": code,
            "error_description": problem if code else "",
            **(members or {}),
            "resource_metadata": self.metadata_url,
        }
        algorithms = {"algs": " ".join(ALGORITHMS)}
        schemes = (BEARER, DPOP) if scheme == BEARER else (DPOP,)
        challenges = [
            challenge(
                SCHEMES[each],
                {**(parameters if each == scheme else {}), **(algorithms if each == DPOP else {})},
            )
            for each in schemes
            if each == BEARER or self._proofs
        ]
        return AccessDeniedError(
            problem,
            status=status,
            error=code,
            challenge=", ".join(challenges),
            nonce="" if self._nonces is None else self._nonces.current(),
        )
