"""Whether the issuer can keep what it issues, as ``/health`` and ``/readyz`` report it."""

from __future__ import annotations

import asyncio
import time

from grantway_plugins.issuer._storage.errors import (
    DatabaseBusyError,
    DatabaseError,
    DatabaseUnreachableError,
)
from grantway_plugins.issuer._storage.store import IssuerStore
from grantway_plugins.server._http.wire import WireResponse, json_response

#: Seconds for which one look at the database is reported.
CACHE_SECONDS = 1.0
#: Seconds for which the failure of a request is reported.
FAILURE_SECONDS = 5.0
#: Seconds that the database gets to respond.
TIMEOUT = 5.0


class Health:
    """Write to the database, at most once a second, and report whether that worked.

    The report has the kind of the failure, but neither the database's name nor its own words.

    Args:
        store: The database.
    """

    def __init__(self, store: IssuerStore) -> None:
        self._store = store
        self._response: WireResponse | None = None
        self._until = 0.0

    async def response(self) -> WireResponse:
        """Return 200 if the database can be written, and 503 with the reason if it cannot."""
        if self._response is None or time.monotonic() >= self._until:
            response = await self._probe()
            self._response, self._until = response, time.monotonic() + CACHE_SECONDS
        return self._response

    def failed(self, error: Exception) -> None:
        """Report what a request met: a small write may still fit where a larger one did not."""
        if isinstance(error, DatabaseError) and not isinstance(error, DatabaseBusyError):
            self._response = _unavailable(type(error))
            self._until = time.monotonic() + FAILURE_SECONDS

    async def _probe(self) -> WireResponse:
        try:
            async with asyncio.timeout(TIMEOUT):
                await self._store.arun(lambda transaction: transaction.probe())
        except TimeoutError:
            return _unavailable(DatabaseUnreachableError)
        except DatabaseError as error:
            return _unavailable(type(error))
        return json_response(200, {"status": "ok"})


def _unavailable(kind: type[DatabaseError]) -> WireResponse:
    content = {"status": "unavailable", "error": kind.code, "error_description": kind.public}
    return json_response(503, content, headers=((b"retry-after", b"1"),))
