"""The published signing keys (RFC 7517)."""

from __future__ import annotations

import json
import logging
import time

from grantway._processes.copies import OneProcess
from grantway_plugins.issuer._keys.ring import KeyRing
from grantway_plugins.issuer._storage.errors import DatabaseError
from grantway_plugins.issuer._storage.store import IssuerStore
from grantway_plugins.issuer._storage.transaction import Transaction
from grantway_plugins.server._http.denial import Denial
from grantway_plugins.server._http.wire import (
    WireFormat,
    WireResponse,
    busy_response,
    denial_response,
)

#: Path of the public keys.
JWKS = "/jwks"
#: Seconds for which a response is reused.
CACHE_SECONDS = 1.0

_log = logging.getLogger("grantway.issuer")


class PublishedKeys(OneProcess):
    """Responds with the public keys; with the last known ones while the database is unavailable.

    Args:
        keys: The signing keys.
        store: The database.
    """

    def __init__(self, keys: KeyRing, store: IssuerStore) -> None:
        self._keys = keys
        self._store = store
        self._response: WireResponse | None = None
        self._until = 0.0

    async def response(self) -> WireResponse:
        """Return the keys as a JWK Set. The first request generates them."""
        if self._response is None or time.monotonic() >= self._until:
            try:
                self._response = await self._store.arun(self._read)
            except DatabaseError as error:
                if self._response is None:
                    return busy_response(WireFormat.RFC, f"{error.public}; nothing was done")
            except Exception as error:  # noqa: BLE001 - the error may contain a secret
                _log.error("The signing keys cannot be published: %s", type(error).__name__)
                if self._response is None:
                    return denial_response(
                        Denial("server_error", "The issuer failed"), WireFormat.RFC, status=500
                    )
            self._until = time.monotonic() + CACHE_SECONDS
        return self._response

    def _read(self, transaction: Transaction) -> WireResponse:
        keys = self._keys.published(transaction, self._store.clock())
        headers = (
            (b"content-type", b"application/json"),
            (b"cache-control", b"public, max-age=%d" % self._keys.max_age),
        )
        body = json.dumps({"keys": [dict(each.jwk) for each in keys]}).encode()
        return WireResponse(200, headers, body)
