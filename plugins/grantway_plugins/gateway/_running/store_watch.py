"""Whether the gateway's own store takes tokens, as ``/readyz`` reports it."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from grantway._exceptions import StoreError, StoreUnreadableError
from grantway._types.store import Store
from grantway._types.token import Token

#: Seconds for which one look at the store is reported.
FRESH = 5.0
#: Seconds that the store gets to respond.
PATIENCE = 2.0
#: Stores that fail on their own. Looking at one in memory tells nothing, and a key ring may ask a
#: person.
_LOOKED_AT = frozenset({"file", "redis", "sql"})
_KEY = "grantway readyz"
#: As long as a large token: a small write may still fit on a full disk.
_SAMPLE = "x" * 4096

_log = logging.getLogger("grantway.gateway")


@dataclass(frozen=True, slots=True)
class StoreStanding:
    """How a store does.

    Attributes:
        error: grantway's code of the failure, or empty.
        message: What is wrong and what to do, without a secret; or empty.
        since: Since when, in seconds since the epoch.
    """

    error: str
    message: str
    since: float


class StoreWatch:
    """Saves and deletes something, at most every five seconds, and tells whether that worked.

    Args:
        store: The store.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._standing = StoreStanding("", "", time.time())
        self._until = float("-inf")
        self._look: asyncio.Event | None = None
        self._slow = False

    @staticmethod
    def watches(table: Mapping[str, Any]) -> bool:
        """Whether a store is looked at, by its table in the gateway's file."""
        inner = table.get("inner")
        while inner is not None:
            table = inner if isinstance(inner, Mapping) else {"kind": inner}
            inner = table.get("inner")
        return table["kind"] in _LOOKED_AT

    async def standing(self) -> StoreStanding:
        """Return how the store does; waits two seconds at most, and once for one slow look.

        Call it in one event loop.
        """
        if self._look is None and time.monotonic() >= self._until:
            self._look = asyncio.Event()
            loop = asyncio.get_running_loop()
            # A daemon: a file system that hangs must not keep the process from ending.
            threading.Thread(
                target=self._try, args=(loop,), name="grantway-readyz", daemon=True
            ).start()
        if self._look is not None and not self._slow:
            try:
                async with asyncio.timeout(PATIENCE):
                    await self._look.wait()
            except TimeoutError:
                message = f"{self._store!r}: did not respond within {PATIENCE:g} s."
                self._slow = True
                self._set(StoreUnreadableError.code, message)
        return self._standing

    def _try(self, loop: asyncio.AbstractEventLoop) -> None:
        error = message = ""
        try:
            # Without the lock: gateways that share the store need not wait for each other.
            self._store.save(_KEY, Token(_SAMPLE, expires_at=time.time() + 60))
            self._store.delete(_KEY)
        except StoreError as failed:
            error, message = failed.code, failed.message
        except Exception as failed:  # noqa: BLE001 - what another's store says may hold a secret
            error, message = StoreError.code, f"{self._store!r}: raised {type(failed).__name__}."
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(self._done, error, message)

    def _done(self, error: str, message: str) -> None:
        self._set(error, message)
        self._until = time.monotonic() + FRESH
        self._slow = False
        if self._look is not None:
            self._look.set()
            self._look = None

    def _set(self, error: str, message: str) -> None:
        before = self._standing
        since = before.since if before.error == error else time.time()
        self._standing = StoreStanding(error, message, since)
        if error and not before.error:
            _log.warning("The store takes no tokens: %s", message)
        elif before.error and not error:
            _log.warning("The store works again")
