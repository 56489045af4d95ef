"""Verify the callers of a protected resource."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any
from urllib.parse import urlsplit

from grantway._exceptions import ConfigurationError
from grantway._processes.copies import OneProcess
from grantway._processes.driving import drive, drive_async
from grantway._secrets.hidden_arguments import clear_locals
from grantway._types.quantity import check_count, check_seconds, finite
from grantway_plugins.server._http.client_certificate import InvalidCertificateError
from grantway_plugins.server._proofs.nonces import Nonces

from ._accepted_issuer import AcceptedIssuer
from ._claims import JKT, X5T
from ._client_certificates import CertificateHeader
from ._denials import BEARER, DPOP, FORBIDDEN, INVALID, SCHEMES, Denials
from ._errors import (
    AccessDeniedError,
    InvalidRequestError,
    InvalidTokenError,
    VerificationUnavailableError,
)
from ._issuer_status import IssuerStatus, VerificationObserver
from ._metadata import checked_resource, metadata_of, origin_of
from ._proofs import InvalidProofError, Proofs
from ._request import ResourceRequest
from ._requirement import Requirement
from ._shared_proofs import SharedProofs
from ._token_cache import TokenCache, digest_of
from ._token_verifier import Steps, TokenVerifier
from ._verified_token import VerifiedToken

#: Characters of a token (RFC 6750 section 2.1).
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
_NOTHING = Requirement()
_SHORTEST_KEY = 32


class ProtectedResource(OneProcess):
    """Verifies the callers of a resource by their access tokens.

    Tokens are read from the header ``Authorization``, as ``Bearer`` (RFC 6750) or ``DPoP`` (RFC
    9449). A token that is bound to a key is accepted only with a proof of that key: a DPoP proof,
    or the client certificate (RFC 8705).

    Args:
        resource: The resource identifier (RFC 9728), the default audience: the URL under which
            callers reach the resource.
        issuers: The accepted issuers.
        certificates: The header with the client certificate, or None.
        scopes: Scopes that requests may need, for the metadata.
        cache_seconds: Maximum time for which an accepted token is not verified again. Later
            changes, such as a revocation that introspection reports or a removed key, are noticed
            after this time.
        cache_entries: Maximum number of accepted and of rejected tokens in memory.
        dpop: Whether to accept DPoP proofs and offer them to clients. False suits an application
            that itself reads bearer tokens only; then tokens that are bound to a DPoP key are
            rejected.
        used_proofs: Used DPoP proofs that several processes share. By default, each process
            accepts a proof once.
        dpop_nonce_key: Secret of at least 32 bytes from which nonces for DPoP proofs are computed
            (RFC 9449 section 9); all processes and machines of the resource need the same one. A
            proof without the nonce is rejected with it, and again with another one after 150 to 300
            seconds, so proofs cannot be created long in advance. By default proofs need no nonce.
        observer: Receives the result of each request, reads of keys and questions to issuers, for
            metrics.
        clock: Returns seconds since the epoch.

    Raises:
        ConfigurationError: An argument is invalid; the error names it.
        ModuleNotFoundError: The extra ``jose`` is needed, and not installed.
    """

    def __init__(
        self,
        resource: str,
        issuers: Sequence[AcceptedIssuer],
        *,
        certificates: CertificateHeader | None = None,
        scopes: Iterable[str] = (),
        cache_seconds: float = 300.0,
        cache_entries: int = 10_000,
        dpop: bool = True,
        used_proofs: SharedProofs | None = None,
        dpop_nonce_key: bytes | None = None,
        observer: VerificationObserver | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.resource = checked_resource(resource)
        check_seconds("cache_seconds", cache_seconds)
        check_count("cache_entries", cache_entries)
        self._issuers = _accepted(issuers)
        self._certificates = certificates
        names: Any = scopes if isinstance(scopes, str) else tuple(dict.fromkeys(scopes))
        self._scopes = Requirement(scopes=names).scopes
        self._clock = clock
        self._cache = TokenCache(clock, cache_seconds, cache_entries)
        self._verifier = TokenVerifier(self._issuers, resource, clock, self._cache, observer)
        self._observer = observer
        key = dpop_nonce_key
        nonces = None if key is None else Nonces(_checked(key), resource, clock)
        self._proofs = Proofs(origin_of(resource), clock, used_proofs, nonces, accepted=dpop)
        self._denials = Denials(resource, proofs=self._proofs.supported, nonces=nonces)

    def verify(
        self, request: ResourceRequest, requirement: Requirement = _NOTHING
    ) -> VerifiedToken:
        """Return the token of a request. May block while keys are read or the issuer is asked.

        Args:
            request: The request.
            requirement: What the request needs.

        Raises:
            AccessDeniedError: The request must be rejected with a challenge.
            VerificationUnavailableError: The token cannot be verified at the moment (503).
        """
        try:
            if seen := self._seen(request, requirement):
                return seen
            return drive(self._verify(request, requirement), Future.result)
        except InvalidRequestError as error:
            denied = self._malformed(error)
        except Exception as error:
            clear_locals(error)  # they contain the token
            raise
        raise denied

    async def verify_async(
        self, request: ResourceRequest, requirement: Requirement = _NOTHING
    ) -> VerifiedToken:
        """Do the same as ``verify`` without blocking the event loop."""
        try:
            if seen := self._seen(request, requirement):
                return seen
            return await drive_async(self._verify(request, requirement), asyncio.wrap_future)
        except InvalidRequestError as error:
            denied = self._malformed(error)
        except Exception as error:
            clear_locals(error)  # they contain the token
            raise
        raise denied

    def check(self, caller: VerifiedToken, requirement: Requirement) -> None:
        """Check that a verified caller meets another requirement.

        Raises:
            AccessDeniedError: The request must be rejected with a challenge.
        """
        scheme = DPOP if JKT in caller.confirmation else BEARER
        if not requirement.needed <= caller.scope:
            self._observe(caller.issuer, "forbidden")
            scope = " ".join(requirement.scopes)
            raise self._denials.denied(
                f"The access token needs the scope {scope}",
                "insufficient_scope",
                scheme,
                {"scope": scope},
                status=FORBIDDEN,
            )
        if requirement.needs_login and not self._has_login(caller.claims, requirement):
            self._observe(caller.issuer, "forbidden")
            age = requirement.max_age
            raise self._denials.denied(
                "The access token needs another or a newer login of the user",
                "insufficient_user_authentication",
                scheme,
                {
                    "acr_values": " ".join(requirement.acr_values),
                    "max_age": "" if age is None else str(age),
                },
            )

    @property
    def metadata_path(self) -> str:
        """Path of the metadata (RFC 9728 section 3.1)."""
        return urlsplit(self._denials.metadata_url).path

    def metadata(self) -> dict[str, Any]:
        """Return the metadata of the resource (RFC 9728 section 2)."""
        return metadata_of(
            self.resource,
            [each.issuer for each in self._issuers],
            self._scopes,
            proofs=self._proofs.supported,
            certificates=self._certificates is not None,
        )

    def problems(self) -> Mapping[str, str]:
        """Return why issuers are not available, by issuer. Blocks while it reads keys."""
        return self._verifier.problems()

    def status(self) -> Mapping[str, IssuerStatus]:
        """Return whether the issuers are available, by issuer.

        Does not block; starts to read keys in the background if there are none.
        """
        return self._verifier.status()

    def close(self) -> None:
        """Stop threads and close connections."""
        self._verifier.close()

    def __repr__(self) -> str:
        return f"ProtectedResource({self.resource!r}, {[each.issuer for each in self._issuers]})"

    def _seen(self, request: ResourceRequest, requirement: Requirement) -> VerifiedToken | None:
        """Return a bearer token that needs no work; None leaves everything to ``_verify``."""
        authorization = request.header("authorization")
        if not authorization.startswith("Bearer "):
            return None
        verified = self._cache.accepted(digest_of(authorization[7:]))
        if (
            verified is None
            or verified.confirmation
            or requirement.needs_login
            or not requirement.needed <= verified.scope
        ):
            return None
        if self._observer is not None:
            self._observer.verified(verified.issuer, "cached")
        return verified

    def _verify(self, request: ResourceRequest, requirement: Requirement) -> Steps[VerifiedToken]:
        scheme, _, token = request.header("authorization").partition(" ")
        scheme, issuer = scheme.lower(), ""
        if scheme not in SCHEMES:
            return self._without_token(request, requirement)
        try:
            token = token.lstrip(" ")
            digest = digest_of(token)
            verified = self._cache.find(digest)
            known = verified is not None
            if verified is None:
                if not _TOKEN.fullmatch(token):
                    raise InvalidTokenError("has characters that are not allowed")  # noqa: TRY301
                verified = yield from self._verifier.verify(token, digest)
            issuer = verified.issuer
            if verified.confirmation or scheme == DPOP:
                self._check_possession(request, scheme, token, verified)
        except InvalidTokenError as error:
            problem, code = f"The access token {error}", "invalid_token"
            issuer = error.issuer or issuer
        except InvalidProofError as error:
            problem, code = str(error), error.code
        except VerificationUnavailableError as error:
            self._observe(error.issuer or issuer, "unavailable")
            raise
        else:
            self.check(verified, requirement)
            self._observe(issuer, "cached" if known else "accepted")
            return verified
        self._observe(issuer, "rejected")
        raise self._denials.denied(problem, code, scheme)

    def _without_token(self, request: ResourceRequest, requirement: Requirement) -> VerifiedToken:
        """Return the caller with the certificate of a request, if that is enough."""
        problem = "An access token is needed"
        if self._certificates is not None and self._certificates.authenticates:
            try:
                caller = self._certificates.read(request)
            except InvalidCertificateError as error:
                caller, problem = None, f"The client certificate {error}"
            if caller is not None:
                self.check(caller, requirement)
                self._observe("", "certificate")
                return caller
        self._observe("", "missing")
        scope = " ".join(requirement.scopes)
        raise self._denials.denied(problem, "", BEARER, {"scope": scope})

    def _malformed(self, error: InvalidRequestError) -> AccessDeniedError:
        self._observe("", "rejected")
        return self._denials.denied(str(error), "invalid_request", BEARER, status=INVALID)

    def _check_possession(
        self, request: ResourceRequest, scheme: str, token: str, verified: VerifiedToken
    ) -> None:
        bound = verified.confirmation
        if JKT in bound and scheme == BEARER:
            raise InvalidTokenError("is bound to a DPoP key; send it with the scheme DPoP")
        if X5T in bound:
            try:
                caller = self._certificates and self._certificates.read(request)
            except InvalidCertificateError:
                caller = None
            if not caller or caller.confirmation[X5T] != bound[X5T]:
                raise InvalidTokenError("is bound to another client certificate")
        if scheme == DPOP:
            if JKT not in bound:
                raise InvalidTokenError(
                    "is not bound to a DPoP key; send it with the scheme Bearer"
                )
            self._proofs.check(request, token, verified)

    def _observe(self, issuer: str, result: str) -> None:
        if self._observer is not None:
            # A certificate has an issuer, too.
            known = any(issuer == each.issuer for each in self._issuers)
            self._observer.verified(issuer if known else "", result)

    def _has_login(self, claims: Mapping[str, Any], requirement: Requirement) -> bool:
        if requirement.acr_values and claims.get("acr") not in requirement.acr_values:
            return False
        if requirement.max_age is None:
            return True
        since = finite(claims.get("auth_time"))
        return since is not None and self._clock() - since <= requirement.max_age


def _accepted(issuers: object) -> tuple[AcceptedIssuer, ...]:
    given = tuple(issuers) if isinstance(issuers, Iterable) else (issuers,)
    found = tuple(each for each in given if isinstance(each, AcceptedIssuer))
    if len(found) < len(given) or isinstance(issuers, AcceptedIssuer):
        rule = 'must be a list, such as [AcceptedIssuer("https://login.example.com")]'
        raise ConfigurationError(f"issuers: {rule}.", errors={"issuers": [rule]})
    return found


def _checked(key: object) -> bytes:
    if isinstance(key, bytes) and len(key) >= _SHORTEST_KEY:
        return key
    rule = f"must be at least {_SHORTEST_KEY} secret bytes, such as secrets.token_bytes(32)"
    raise ConfigurationError(f"dpop_nonce_key: {rule}.", errors={"dpop_nonce_key": [rule]})
