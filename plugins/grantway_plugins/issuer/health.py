"""Whether the issuer can keep what it issues, as ``/health`` and ``/readyz`` report it."""

from __future__ import annotations

import asyncio
import time

from .errors import StoreBusyError, StoreError, StoreUnreachableError
from .store import Store
from .wire import Answer, answer_json

#: Seconds for which one look at the database is reported.
FRESH = 1.0
#: Seconds for which the failure of a request is reported.
REMEMBERED = 5.0
#: Seconds that the database gets to respond.
PATIENCE = 5.0


class Health:
    """Write to the database, at most once a second, and report whether that worked.

    The report has the kind of the failure, but neither the database's name nor its own words.

    Args:
        store: The database.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._answer: Answer | None = None
        self._until = 0.0

    async def answer(self) -> Answer:
        """Return 200 if the database can be written, and 503 with the reason if it cannot."""
        if self._answer is None or time.monotonic() >= self._until:
            answer = await self._look()
            self._answer, self._until = answer, time.monotonic() + FRESH
        return self._answer

    def failed(self, error: Exception) -> None:
        """Report what a request met: a small write may still fit where a larger one did not."""
        if isinstance(error, StoreError) and not isinstance(error, StoreBusyError):
            self._answer = _unavailable(type(error))
            self._until = time.monotonic() + REMEMBERED

    async def _look(self) -> Answer:
        try:
            async with asyncio.timeout(PATIENCE):
                await self._store.arun(lambda transaction: transaction.probe())
        except TimeoutError:
            return _unavailable(StoreUnreachableError)
        except StoreError as error:
            return _unavailable(type(error))
        return answer_json(200, {"status": "ok"})


def _unavailable(kind: type[StoreError]) -> Answer:
    content = {"status": "unavailable", "error": kind.code, "error_description": kind.public}
    return answer_json(503, content, headers=((b"retry-after", b"1"),))
