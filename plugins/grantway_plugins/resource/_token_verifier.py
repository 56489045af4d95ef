"""Verify access tokens: JWTs with the keys of their issuer, others by introspection."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from grantway._exceptions import ConfigurationError
from grantway._processes.copies import OneProcess
from grantway._processes.driving import drive
from grantway_plugins._file_signature import file_signature
from grantway_plugins._jose.errors import KeysUnavailableError
from grantway_plugins._jwt import unverified_part

from ._accepted_issuer import AcceptedIssuer
from ._claims import JKT, token_of
from ._errors import InvalidTokenError, VerificationUnavailableError
from ._introspection import Introspector
from ._issuer_status import IssuerStatus, VerificationObserver
from ._token_cache import TokenCache
from ._verified_token import VerifiedToken

if TYPE_CHECKING:
    from grantway_plugins._jose.cached_keys import CachedKeys
    from grantway_plugins._jose.key_set import KeySet

#: Maximum length of a token, in characters.
MAX_TOKEN = 16_384
_PARTS = 3
#: Prefix of the media type that ``typ`` may have (RFC 7515 section 4.1.9).
_MEDIA = "application/"

#: Values of ``token_type`` (RFC 7662) and of ``token_use``, which some issuers add.
_ACCESS_TOKENS = frozenset({"bearer", "dpop", "access_token", "access"})

#: Values of the claims ``token_use`` and ``typ`` with which some issuers mark other JWTs.
_OTHER_TOKENS = frozenset({"id", "id_token", "refresh", "refresh_token", "offline", "logout"})
#: Claims that only ID tokens have (OpenID Connect Core section 3.3.2.11).
_ID_TOKEN_CLAIMS = ("at_hash", "c_hash")

T = TypeVar("T")
#: Yields work in progress, to receive its result.
Steps = Generator[Future[Any], Any, T]

_log = logging.getLogger("grantway.resource")


class TokenVerifier(OneProcess):
    """Verifies access tokens of several issuers.

    Args:
        issuers: The accepted issuers. One of them may introspect opaque tokens.
        resource: The default audience.
        clock: Returns seconds since the epoch.
        cache: Results of verifications.
        observer: Receives reads of keys and questions to issuers.

    Raises:
        ConfigurationError: Two issuers have the same name, or both introspect opaque tokens.
        ModuleNotFoundError: The extra ``jose`` is needed, and not installed.
    """

    def __init__(
        self,
        issuers: Sequence[AcceptedIssuer],
        resource: str,
        clock: Callable[[], float],
        cache: TokenCache,
        observer: VerificationObserver | None = None,
    ) -> None:
        asked = _ignore if observer is None else observer.asked
        self._issuers = {each.issuer: each for each in issuers}
        if not issuers or len(self._issuers) < len(issuers):
            rule = "must name each issuer once" if issuers else "must have at least one issuer"
            raise ConfigurationError(f"issuers: {rule}.", errors={"issuers": [rule]})
        self._resource, self._clock, self._cache = resource, clock, cache
        self._introspectors = {
            each.issuer: Introspector(
                each.issuer,
                each.introspection,
                partial(self._introspected, each),
                cache,
                partial(asked, each.issuer, "token"),
            )
            for each in issuers
            if each.introspection is not None
        }
        if len(self._introspectors) > 1:
            rule = "must have introspection once, because an opaque token does not name its issuer"
            raise ConfigurationError(f"issuers: {rule}.", errors={"issuers": [rule]})
        self._keys = {
            each.issuer: _keys_of(each, partial(asked, each.issuer, "keys"))
            for each in issuers
            if each.introspection is None
        }

    def verify(self, token: str, digest: bytes) -> Steps[VerifiedToken]:
        """Return a token that is not in the cache, and keep the result there.

        Args:
            token: The token, of characters that RFC 6750 allows.
            digest: Identifies the token in the cache.

        Raises:
            InvalidTokenError: The token is not accepted.
            VerificationUnavailableError: It cannot be verified at the moment.
        """
        if len(token) > MAX_TOKEN:
            raise InvalidTokenError(f"is longer than {MAX_TOKEN} characters")
        header: Mapping[str, Any] = {}
        claimed: Mapping[str, Any] = {}
        if token.count(".") == _PARTS - 1:
            header, claimed = (unverified_part(part) for part in token.split(".")[: _PARTS - 1])
        issuer = self._issuer_of(claimed if header else {})
        if issuer.introspection is not None:
            return (yield from self._introspectors[issuer.issuer].verify(token, digest))
        try:
            verified = self._judged((yield from self._signed(token, header, issuer)), issuer)
        except InvalidTokenError as error:
            error.issuer = issuer.issuer
            self._cache.keep(digest, error)
            raise
        self._cache.keep(digest, verified)
        return verified

    def problems(self) -> Mapping[str, str]:
        """Return why issuers are not available, by issuer. Blocks while it reads keys."""
        found = {name: each.problem() for name, each in self._introspectors.items()}
        for name, source in self._keys.items():
            try:
                drive(source.current(), Future.result)
            except KeysUnavailableError as error:
                found[name] = str(error)
        return {name: problem for name, problem in found.items() if problem}

    def status(self) -> Mapping[str, IssuerStatus]:
        """Return whether the issuers are available, by issuer, without blocking."""
        return {
            **{name: each.status() for name, each in self._introspectors.items()},
            **{name: IssuerStatus(*each.status()) for name, each in self._keys.items()},
        }

    def close(self) -> None:
        """Stop threads and close connections."""
        for each in self._introspectors.values():
            each.close()

    def _issuer_of(self, claimed: Mapping[str, Any]) -> AcceptedIssuer:
        """Return the issuer that a JWT names, or the one that is asked about opaque tokens."""
        iss = claimed.get("iss")
        if iss is not None:
            issuer = self._issuers.get(iss) if isinstance(iss, str) else None
            if issuer is None:
                raise InvalidTokenError("is of an issuer that is not accepted here")
            return issuer
        for name in self._introspectors:
            return self._issuers[name]
        raise InvalidTokenError("is not a JWT of an accepted issuer")

    def _judged(self, claims: Mapping[str, Any], issuer: AcceptedIssuer) -> VerifiedToken:
        audiences = issuer.audiences or (self._resource,)
        return token_of(claims, issuer, audiences, self._clock())

    def _signed(
        self, token: str, header: Mapping[str, Any], issuer: AcceptedIssuer
    ) -> Steps[Mapping[str, Any]]:
        from grantway_plugins._jose.signature import (  # noqa: PLC0415 - needs the extra jose
            SignatureError,
            signed_claims,
        )

        typ = header.get("typ", "")
        if not isinstance(typ, str) or typ.lower().removeprefix(_MEDIA) not in issuer.types:
            raise InvalidTokenError(f"has another typ than {' or '.join(issuer.types)}")
        if "crit" in header:
            raise InvalidTokenError("has critical header members, which are not supported")
        try:
            claims = yield from signed_claims(
                token, header, self._keys[issuer.issuer], issuer.algorithms
            )
        except SignatureError as error:
            # A new key of the issuer is unknown as well while its keys cannot be read.
            _, problem, _ = self._keys[issuer.issuer].status()
            if not (problem and error.unknown_key):
                raise InvalidTokenError(str(error), passing=error.unknown_key) from None
        except KeysUnavailableError as error:
            problem = str(error)
        else:
            if claims.get("iss") != issuer.issuer:  # another reading of the same text
                raise InvalidTokenError("is of another issuer")
            if _is_other_token(claims):
                raise InvalidTokenError("is not an access token")
            return claims
        raise VerificationUnavailableError(
            f"The keys of {issuer.issuer} cannot be read: {problem}.", issuer=issuer.issuer
        )

    def _introspected(self, issuer: AcceptedIssuer, members: Mapping[str, Any]) -> VerifiedToken:
        if members.get("active") is not True:
            raise InvalidTokenError("is not active")
        if members.get("iss", issuer.issuer) != issuer.issuer:
            raise InvalidTokenError("is of another issuer")
        # An issuer may describe refresh tokens as well, usually without these members.
        kinds = [members[name] for name in ("token_type", "token_use") if name in members]
        unclear = "aud" not in members and not kinds
        if not _is_access_token(kinds) or unclear or _is_other_token(members):
            raise InvalidTokenError("is not an access token")
        verified = self._judged(members, issuer)
        if str(members.get("token_type")).lower() == "dpop" and JKT not in verified.confirmation:
            raise InvalidTokenError("is bound to a DPoP key that its issuer does not name")
        return verified


def _is_access_token(kinds: list[object]) -> bool:
    """Return whether all values of ``token_type`` and ``token_use`` describe access tokens."""
    return all(isinstance(each, str) and each.lower() in _ACCESS_TOKENS for each in kinds)


def _is_other_token(claims: Mapping[str, Any]) -> bool:
    """Return whether claims say that they are those of an ID token or a refresh token.

    The header of a JWT does not if the issuer gives all of them the same ``typ``.
    """
    kinds = (claims.get("token_use"), claims.get("typ"))
    return any(name in claims for name in _ID_TOKEN_CLAIMS) or any(
        isinstance(each, str) and each.lower() in _OTHER_TOKENS for each in kinds
    )


def _ignore(_issuer: str, _subject: str, _result: str) -> None:
    """Observe nothing."""


def _keys_of(issuer: AcceptedIssuer, asked: Callable[[str], None]) -> CachedKeys:
    from grantway_plugins._jose.cached_keys import (  # noqa: PLC0415 - needs the extra jose
        CachedKeys,
    )
    from grantway_plugins._jose.reading_keys import (  # noqa: PLC0415 - as above
        UnreadableKeysError,
        read_keys,
    )

    def read() -> KeySet:
        try:
            keys = read_keys(issuer)
        except UnreadableKeysError:
            asked("failed")
            raise
        asked("ok")
        return keys

    path = issuer.jwks_file
    version = (lambda: None) if path is None else partial(file_signature, path)
    return CachedKeys(issuer.issuer, read, version=version, log=_log)
