"""Proofs of callers that they have the key of their token (RFC 9449, RFC 8705)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from grantway._processes.copies import OneProcess
from grantway._processes.fork import fork_safe_lock
from grantway_plugins.server._http.denial import DenialError
from grantway_plugins.server._proofs.algorithms import verifies_proofs

from ._claims import JKT
from ._errors import InvalidTokenError, VerificationUnavailableError
from ._request import ResourceRequest
from ._verified_token import VerifiedToken

if TYPE_CHECKING:
    from grantway_plugins.server._proofs.nonces import Nonces
    from grantway_plugins.server._proofs.proof import ProofVerifier

    from ._shared_proofs import SharedProofs

#: Maximum number of used proofs in memory.
MOST_PROOFS = 100_000
_LOCK = fork_safe_lock()


class InvalidProofError(Exception):
    """Raised for a DPoP proof that is not accepted; the message describes the problem.

    Attributes:
        code: The error code (RFC 9449 sections 7.1 and 9).
    """

    def __init__(self, problem: str, code: str = "invalid_dpop_proof") -> None:
        super().__init__(problem)
        self.code = code


class Proofs(OneProcess):
    """Verifies DPoP proofs, each of which is accepted once.

    Args:
        origin: Scheme, host and port of the resource. Proofs contain the URL that callers use.
        clock: Returns seconds since the epoch.
        used: Used proofs that several processes share; None keeps those of this process.
        nonces: The accepted nonces; None if proofs need no nonce.
        accepted: Whether to accept proofs at all.
    """

    def __init__(
        self,
        origin: str,
        clock: Callable[[], float],
        used: SharedProofs | None = None,
        nonces: Nonces | None = None,
        *,
        accepted: bool = True,
    ) -> None:
        self._origin, self._clock = origin, clock
        self._used = _UsedProofs(clock) if used is None else used
        self._verifier: ProofVerifier | None = None
        if accepted and verifies_proofs():
            from grantway_plugins.server._proofs.proof import (  # noqa: PLC0415 - needs jose
                ProofVerifier,
            )

            self._verifier = ProofVerifier(clock, nonces=nonces)

    @property
    def supported(self) -> bool:
        """Whether proofs are accepted, which needs the extra ``jose``."""
        return self._verifier is not None

    def check(self, request: ResourceRequest, token: str, verified: VerifiedToken) -> None:
        """Check that a request proves possession of the key of its token.

        Args:
            request: The request.
            token: Its token.
            verified: The same token, verified.

        Raises:
            InvalidProofError: The proof is missing, invalid or was used before.
            InvalidTokenError: The token is bound to another key.
            VerificationUnavailableError: Too many proofs were used in the last two minutes.
        """
        if self._verifier is None:
            raise InvalidTokenError("is bound to a DPoP key, which is not supported here")
        # A path without a slash could change the host: https://api.example.com@other.example/.
        slash = "" if request.raw.startswith("/") else "/"
        url = f"{self._origin}{slash}{request.raw}"
        try:
            proof = self._verifier.verify(request.header("dpop"), request.method, url, token)
        except DenialError as error:
            problem, code = error.denial.description, error.denial.error
        else:
            if proof.thumbprint != verified.confirmation.get(JKT):
                raise InvalidTokenError("is not bound to the key of the DPoP proof")
            if self._used.add(proof.use, proof.kept_until):
                return
            problem = "The DPoP proof was used before; send a new one with each request"
            code = "invalid_dpop_proof"
        raise InvalidProofError(problem, code)


class _UsedProofs:
    """The proofs that were used, until they expire."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}

    def add(self, use: str, until: float) -> bool:
        """Add a proof; return False if it was used before.

        Raises:
            VerificationUnavailableError: The memory is full of proofs that have not expired.
        """
        with _LOCK:
            if use in self._until:
                return False
            if len(self._until) >= MOST_PROOFS:
                now = self._clock()
                self._until = {key: each for key, each in self._until.items() if each > now}
                if len(self._until) >= MOST_PROOFS:
                    raise VerificationUnavailableError("Too many DPoP proofs were used just now.")
            self._until[use] = until
            return True
