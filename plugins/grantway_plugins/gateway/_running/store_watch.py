"""Checks of the gateway's store for ``/readyz``."""

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

#: Seconds for which the result of a check is reported.
FRESH = 5.0
#: Timeout in seconds of a check.
PATIENCE = 2.0
#: Kinds of store to check. Checking a store in memory is pointless, and a key ring may prompt the
#: user.
_CHECKED_KINDS = frozenset({"file", "redis", "sql"})
_KEY = "grantway readyz"
#: As long as a large token, because a small write may still succeed on a full disk.
_SAMPLE = "x" * 4096

_log = logging.getLogger("grantway.gateway")


@dataclass(frozen=True, slots=True)
class StoreHealth:
    """The health of a store.

    Attributes:
        error: grantway's error code of the failure, or an empty string.
        message: Error message without secrets, or an empty string.
        since: Start of this state as Unix time.
    """

    error: str
    message: str
    since: float


class StoreWatch:
    """Checks a store by saving and deleting a token, at most every five seconds.

    Args:
        store: The store.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._health = StoreHealth("", "", time.time())
        self._until = float("-inf")
        self._look: asyncio.Event | None = None
        self._slow = False

    @staticmethod
    def watches(table: Mapping[str, Any]) -> bool:
        """Return whether the store in this table of the gateway's file is checked."""
        inner = table.get("inner")
        while inner is not None:
            table = inner if isinstance(inner, Mapping) else {"kind": inner}
            inner = table.get("inner")
        return table["kind"] in _CHECKED_KINDS

    async def health(self) -> StoreHealth:
        """Return the health of the store, after waiting at most two seconds for a check.

        Later calls do not wait for a check that timed out. Call this in one event loop only.
        """
        if self._look is None and time.monotonic() >= self._until:
            self._look = asyncio.Event()
            loop = asyncio.get_running_loop()
            # A daemon thread, so that a hanging file system does not block the exit.
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
        return self._health

    def _try(self, loop: asyncio.AbstractEventLoop) -> None:
        error = message = ""
        try:
            # Without the lock, so that gateways that share the store do not wait for each other.
            self._store.save(_KEY, Token(_SAMPLE, expires_at=time.time() + 60))
            self._store.delete(_KEY)
        except StoreError as failed:
            error, message = failed.code, failed.message
        except Exception as failed:  # noqa: BLE001 - a third-party message may contain a secret
            error, message = StoreError.code, f"{self._store!r}: raised {type(failed).__name__}."
        with suppress(RuntimeError):  # the event loop has ended
            loop.call_soon_threadsafe(self._done, error, message)

    def _done(self, error: str, message: str) -> None:
        self._set(error, message)
        self._until = time.monotonic() + FRESH
        self._slow = False
        if self._look is not None:
            self._look.set()
            self._look = None

    def _set(self, error: str, message: str) -> None:
        before = self._health
        since = before.since if before.error == error else time.time()
        self._health = StoreHealth(error, message, since)
        if error and not before.error:
            _log.warning("The store cannot save tokens: %s", message)
        elif before.error and not error:
            _log.warning("The store works again")
