"""Verify the assertions of ``private_key_jwt`` (OpenID Connect Core section 9, RFC 7523).

Verification needs the client's registration, and possibly its published keys. It therefore happens
before the request's transaction.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from cachetools import LRUCache

from grantway._processes.copies import OneProcess
from grantway._processes.driving import drive_async
from grantway_plugins._jose.cached_keys import CachedKeys
from grantway_plugins._jose.errors import KeysUnavailableError
from grantway_plugins._jose.key_set import (
    InvalidKeySetError,
    KeySet,
    published_keys,
    verified_claims,
)
from grantway_plugins._jose.reading_keys import UnreadableKeysError
from grantway_plugins._jose.signature import SignatureError, signed_claims
from grantway_plugins._jose.validity import time_problem
from grantway_plugins._jwt import unverified_part
from grantway_plugins.issuer._decisions.rate_limit import PeerRateLimit
from grantway_plugins.issuer._security import proof_algorithms
from grantway_plugins.issuer._storage.records import RegisteredClient
from grantway_plugins.issuer._storage.store import IssuerStore
from grantway_plugins.issuer._trust.claim_rules import (
    TYPES,
    TokenRejectedError,
    shown,
)
from grantway_plugins.issuer._trust.trusted_token import RejectedToken, TrustedToken
from grantway_plugins.server._http.wire import WireRequest
from grantway_plugins.server._proofs.algorithms import ALGORITHMS

from .client_of_assertion import MAX_ASSERTION, PARAMETER, client_of_assertion
from .fetching import Fetcher, FetchError
from .key_metadata import ALGORITHM, JWKS, JWKS_URI, PRIVATE_KEY_JWT
from .registered_keys import registered_keys
from .verification import Outcome, verified_client

#: Maximum length of a ``jti``, in characters.
MAX_JTI = 255
#: Maximum lifetime of an assertion, and accepted difference between clocks, in seconds.
MAX_LIFETIME, LEEWAY = 3600.0, 60.0
#: Maximum number of key sets in memory, and of anonymous clients' keys that are read at once.
_KEPT, _AT_ONCE = 1000, 16


class VerifyClientAssertions(OneProcess):
    """Verifies the assertion of a client that signs with its own key; a ``Preparation``.

    Args:
        url: The issuer's URL.
        store: The database with the clients.
        clock: Returns seconds since the epoch.
        fetcher: Reads keys that clients publish.
        fapi2: Whether to enforce the FAPI 2.0 Security Profile.
        reads_per_minute: Maximum number of anonymous clients whose keys are read for one address
            per minute.
    """

    def __init__(
        self,
        url: str,
        store: IssuerStore,
        clock: Callable[[], float],
        fetcher: Fetcher,
        *,
        fapi2: bool = False,
        reads_per_minute: int = 60,
    ) -> None:
        self._limit = PeerRateLimit(reads_per_minute)
        self._slots = threading.BoundedSemaphore(_AT_ONCE)
        self._fapi2 = fapi2
        self._algorithms = proof_algorithms(fapi2=fapi2)
        self._url = url
        self._store = store
        self._clock = clock
        self._fetcher = fetcher
        self._published: LRUCache[tuple[str, bool], CachedKeys] = LRUCache(_KEPT)

    def applies(self, request: WireRequest) -> bool:
        """See ``Preparation``."""
        return client_of_assertion(request.params) is not None

    async def prepare(self, request: WireRequest) -> WireRequest:
        """See ``Preparation``."""
        client_id = client_of_assertion(request.params) or ""
        outcome = await verified_client(self._store, client_id, partial(self._outcome, request))
        if outcome is None:
            return request
        return replace(request, trusted={**request.trusted, PARAMETER: outcome})

    async def _outcome(self, request: WireRequest, client: RegisteredClient) -> Outcome:
        if client.authentication.method != PRIVATE_KEY_JWT:
            return None
        try:
            return await self._verify(request.params[PARAMETER], client, request)
        except TokenRejectedError as error:
            return RejectedToken(str(error))

    async def _verify(
        self, assertion: str, client: RegisteredClient, request: WireRequest
    ) -> TrustedToken:
        if len(assertion) > MAX_ASSERTION:
            raise TokenRejectedError(f"is longer than {MAX_ASSERTION} characters")
        header = unverified_part(assertion.partition(".")[0])
        typ, algorithm = header.get("typ", ""), header.get("alg")
        if not isinstance(typ, str) or typ.lower() not in TYPES[PARAMETER]:
            raise TokenRejectedError("has a typ that does not fit a client assertion")
        registered = client.metadata.get(ALGORITHM)
        if algorithm not in self._algorithms or registered not in (None, algorithm):
            raise TokenRejectedError("has an algorithm that the client did not register")
        claims = await self._claims(assertion, client, header, request.peer)
        if self._fapi2 and claims.get("aud") != self._url:
            raise TokenRejectedError(f"must have the audience {self._url}")
        return _judged(claims, client, self._audiences(request.path), self._clock())

    async def _claims(
        self, assertion: str, client: RegisteredClient, header: Mapping[str, Any], peer: str
    ) -> Mapping[str, Any]:
        """Return the claims of an assertion that one of the client's keys signed."""
        if JWKS in client.metadata:
            fitting = registered_keys(client).fitting(header, ALGORITHMS)
            claims = verified_claims(assertion, fitting)
        else:
            uri = str(client.metadata.get(JWKS_URI))
            claims = await self._published_claims(
                assertion, header, self._source(uri, peer, anonymous=client.anonymous)
            )
        if claims is None:
            raise TokenRejectedError("is not signed with a key of the client")
        return claims

    async def _published_claims(
        self, assertion: str, header: Mapping[str, Any], source: CachedKeys
    ) -> dict[str, Any] | None:
        checking = signed_claims(assertion, header, source, ALGORITHMS)
        try:
            return await drive_async(checking, asyncio.wrap_future)
        except SignatureError:
            return None

    def _source(self, uri: str, peer: str, *, anonymous: bool) -> CachedKeys:
        """Return the keys at a URL, which may not have been read yet.

        Raises:
            KeysUnavailableError: the address caused too many reads.
        """
        key = (uri, anonymous)
        source = self._published.get(key)
        if source is None:
            if anonymous and self._limit.take(peer) > 0:
                raise KeysUnavailableError(uri, "too many keys are read for this address")
            source = self._published[key] = CachedKeys(
                uri,
                partial(self._read, uri, anonymous),
                # Anyone can register a client whose keys cannot be read.
                level=logging.DEBUG if anonymous else logging.WARNING,
            )
        return source

    def _read(self, uri: str, anonymous: bool) -> KeySet:
        if not anonymous:
            return self._fetched(uri, public_only=False)
        if not self._slots.acquire(blocking=False):
            raise UnreadableKeysError("too many keys are being read")
        try:
            return self._fetched(uri, public_only=True)
        finally:
            self._slots.release()

    def _fetched(self, uri: str, *, public_only: bool) -> KeySet:
        try:
            return published_keys(self._fetcher.read(uri, public_only=public_only).body)
        except (FetchError, InvalidKeySetError) as error:
            problem = str(error)
        raise UnreadableKeysError(f"the keys at {uri} cannot be used: {problem}")

    def _audiences(self, path: str) -> tuple[str, ...]:
        """The issuer, which is best (RFC 7523), and the endpoints that older clients name."""
        return (self._url, f"{self._url}/token", self._url + path)


def _judged(
    claims: Mapping[str, Any], client: RegisteredClient, audiences: tuple[str, ...], now: float
) -> TrustedToken:
    audience, jti = claims.get("aud"), claims.get("jti")
    named = audience if isinstance(audience, list) else [audience]
    if not named or not all(each in audiences for each in named):
        raise TokenRejectedError(f"has the audience {shown(audience)}, not {audiences[0]}")
    if not isinstance(jti, str) or not 0 < len(jti) <= MAX_JTI:
        raise TokenRejectedError(f"needs a jti of at most {MAX_JTI} characters")
    problem = time_problem(claims, leeway=LEEWAY, max_lifetime=MAX_LIFETIME, now=now)
    if problem:
        raise TokenRejectedError(problem)
    return TrustedToken(
        issuer=client.client_id,
        subject=client.client_id,
        expires_at=claims["exp"],
        claims=claims,
        clients=(client.client_id,),
        single_use_id=jti,
        kept_until=claims["exp"] + LEEWAY,
        method=PRIVATE_KEY_JWT,
    )
