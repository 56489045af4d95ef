"""The health check of ``/health`` and ``/readyz``: database and signing keys."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from grantway_plugins.issuer._storage.errors import (
    DatabaseBusyError,
    DatabaseError,
    DatabaseUnreachableError,
)
from grantway_plugins.issuer._storage.store import IssuerStore
from grantway_plugins.issuer._storage.transaction import Transaction
from grantway_plugins.server._http.wire import WireResponse, json_response

if TYPE_CHECKING:
    from grantway_plugins.issuer._keys.ring import KeyRing

#: Seconds for which the result of a check is reused.
CACHE_SECONDS = 1.0
#: Seconds for which the failure of a request is reported.
FAILURE_SECONDS = 5.0
#: Time limit of the check, in seconds.
TIMEOUT = 5.0
_DAMAGED = "A signing key cannot be used; the issuer's log says why"


class Health:
    """Checks at most once per second whether the database is writable and the keys are usable.

    The response names the kind of failure, but neither the database nor the driver's error.

    Args:
        store: The database.
        keys: The signing keys, or None.
    """

    def __init__(self, store: IssuerStore, keys: KeyRing | None = None) -> None:
        self._store = store
        self._keys = keys
        self._response: WireResponse | None = None
        self._until = 0.0

    async def response(self) -> WireResponse:
        """Return status 200 if the issuer can serve requests, and 503 with the reason otherwise."""
        if self._response is None or time.monotonic() >= self._until:
            response = await self._probe()
            self._response, self._until = response, time.monotonic() + CACHE_SECONDS
        return self._response

    def failed(self, error: Exception) -> None:
        """Report the failure of a request, because the check's small write may still succeed."""
        if isinstance(error, DatabaseError) and not isinstance(error, DatabaseBusyError):
            self._response = _unavailable(type(error))
            self._until = time.monotonic() + FAILURE_SECONDS

    def _check(self, transaction: Transaction) -> None:
        transaction.probe()
        if self._keys is not None and self._keys.damaged:
            # No request may arrive that would notice that the key was repaired.
            self._keys.recheck(transaction, self._store.clock())

    async def _probe(self) -> WireResponse:
        try:
            async with asyncio.timeout(TIMEOUT):
                await self._store.arun(self._check)
        except TimeoutError:
            return _unavailable(DatabaseUnreachableError)
        except DatabaseError as error:
            return _unavailable(type(error))
        if self._keys is not None and self._keys.damaged:
            return _unavailable_because("signing_key_unusable", _DAMAGED)
        return json_response(200, {"status": "ok"})


def _unavailable(kind: type[DatabaseError]) -> WireResponse:
    return _unavailable_because(kind.code, kind.public)


def _unavailable_because(code: str, description: str) -> WireResponse:
    content = {"status": "unavailable", "error": code, "error_description": description}
    return json_response(503, content, headers=((b"retry-after", b"1"),))
