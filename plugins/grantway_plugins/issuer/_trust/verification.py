"""Verify tokens of other issuers before a request gets a database transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from types import MappingProxyType
from typing import Any, TypeVar

from grantway._processes.copies import OneProcess
from grantway._processes.driving import drive, drive_async
from grantway_plugins._file_signature import file_signature
from grantway_plugins._jose.cached_keys import CachedKeys, KeySteps
from grantway_plugins._jose.key_set import KeySet, given_keys
from grantway_plugins._jose.reading_keys import read_keys
from grantway_plugins._jose.signature import KeySource, SignatureError, signed_claims
from grantway_plugins._jwt import unverified_part
from grantway_plugins.grants._fields import ID_JAG_TYP

from .claim_rules import TYPES, TokenRejectedError, judge, judge_identity_assertion, shown
from .trusted_issuer import SPIFFE, TrustedIssuer
from .trusted_token import RejectedToken, TrustedToken

#: Maximum length of a token, in characters.
MAX_TOKEN = 16_384
_PARTS = 3

T = TypeVar("T")

Verified = Mapping[str, TrustedToken | RejectedToken]


_Steps = Generator[Future[KeySet | str], KeySet | str, T]


class TrustedTokens(OneProcess):
    """Verifies the tokens of trusted issuers in the parameters of a request.

    Args:
        trusted: The trusted issuers.
        url: URL of this issuer, the default audience.
        clock: Returns seconds since the epoch.
        read: Reads the published keys of an issuer; may block.
    """

    def __init__(
        self,
        trusted: Sequence[TrustedIssuer],
        url: str,
        clock: Callable[[], float],
        read: Callable[[TrustedIssuer], KeySet] = read_keys,
    ) -> None:
        self._trusted = {each.issuer: each for each in trusted}
        self._domains = any(each.is_trust_domain for each in trusted)
        self._audiences = (url, f"{url}/token")
        self._clock = clock
        self._keys: dict[str, KeySource] = {
            each.issuer: (
                _GivenKeys(given_keys(each.jwks))
                if each.jwks is not None
                else CachedKeys(each.issuer, partial(read, each), version=_version_of(each))
            )
            for each in trusted
        }

    def of(self, params: Mapping[str, Any]) -> Verified:
        """Return the outcome for each parameter that may contain a token of another issuer.

        May block while keys are read. Parameters that do not contain a JWT are omitted.

        Args:
            params: Parameters by RFC name.

        Raises:
            KeysUnavailableError: the keys of a trusted issuer cannot be read at the moment.
        """
        return drive(self._all(params), Future.result)

    async def of_async(self, params: Mapping[str, Any]) -> Verified:
        """Return the same as ``of``, without blocking the event loop."""
        return await drive_async(self._all(params), asyncio.wrap_future)

    def _all(self, params: Mapping[str, Any]) -> _Steps[Verified]:
        found: dict[str, TrustedToken | RejectedToken] = {}
        for name in TYPES:
            token = params.get(name)
            if isinstance(token, str) and token.count(".") == _PARTS - 1:
                try:
                    found[name] = yield from self._verify(token, name)
                except TokenRejectedError as error:
                    found[name] = RejectedToken(str(error))
        return MappingProxyType(found)

    def _verify(self, token: str, parameter: str) -> _Steps[TrustedToken]:
        if len(token) > MAX_TOKEN:
            raise TokenRejectedError(f"is longer than {MAX_TOKEN} characters")
        header, claimed = (unverified_part(part) for part in token.split(".")[: _PARTS - 1])
        trusted = self._issuer_of(claimed)
        if trusted is None:
            raise TokenRejectedError(
                f"is of {shown(claimed.get('iss'))}, which is not a trusted issuer"
            )
        typ = header.get("typ", "")
        is_identity = bool(trusted.users) and parameter == "assertion" and _is_id_jag(typ)
        if not is_identity and (not isinstance(typ, str) or typ.lower() not in TYPES[parameter]):
            raise TokenRejectedError(f"has a typ that does not fit {parameter}")
        source = self._keys[trusted.issuer]
        try:
            claims = yield from signed_claims(token, header, source, trusted.algorithms)
        except SignatureError as error:
            raise TokenRejectedError(str(error)) from None
        if is_identity:
            return judge_identity_assertion(claims, trusted, self._audiences[0], self._clock())
        audiences = trusted.audiences or self._audiences
        return judge(claims, trusted, audiences, parameter, self._clock())

    def _issuer_of(self, claimed: Mapping[str, Any]) -> TrustedIssuer | None:
        """Return the trusted issuer whose keys must have signed a token with these claims."""
        iss, sub = claimed.get("iss"), claimed.get("sub")
        named = self._trusted.get(iss) if isinstance(iss, str) else None
        if named is not None or not self._domains:
            return named
        if not isinstance(sub, str) or not sub.startswith(SPIFFE):
            return None
        domain = sub.removeprefix(SPIFFE).partition("/")[0]
        return self._trusted.get(f"{SPIFFE}{domain}")


class _GivenKeys:
    """Keys from the settings, which never change."""

    def __init__(self, keys: KeySet) -> None:
        self._keys = keys

    def current(self) -> KeySteps:
        yield from ()
        return self._keys

    def after(self, known: KeySet) -> KeySteps:
        yield from ()
        return known


def _is_id_jag(typ: object) -> bool:
    return isinstance(typ, str) and typ.lower() == ID_JAG_TYP


def _version_of(trusted: TrustedIssuer) -> Callable[[], object]:
    """Return a function whose result changes with the file of the keys, if they are in one."""
    return partial(file_signature, trusted.jwks_file) if trusted.jwks_file else lambda: None
