"""Per-key locks among the threads and tasks of one process."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from grantway._exceptions import StoreLockError
from grantway._types.quantity import check_lock_wait

#: Seconds between attempts of a task to acquire a lock.
_POLL = 0.01


class ThreadLocks:
    """Independent locks by key, held in a table that contains only the keys in use.

    The locks are not reentrant.
    """

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self._process = os.getpid()
        self._guard = threading.Lock()
        #: Key -> its lock, and the number of threads that hold it or wait for it.
        self._table: dict[str, tuple[threading.Lock, int]] = {}

    @contextmanager
    def hold(self, key: str, timeout: float, where: str) -> Iterator[None]:
        """Hold the lock of a key while the block runs.

        Args:
            key: The key to lock.
            timeout: Seconds to wait at most; 0 tries once.
            where: Name of the lock, for the error.

        Raises:
            ConfigurationError: ``timeout`` is not a valid duration.
            StoreLockError: The lock was not available within ``timeout``.
        """
        with self._used(key, timeout) as lock:
            if not lock.acquire(timeout=min(max(timeout, 0.0), threading.TIMEOUT_MAX)):
                raise _late(where, timeout)
            try:
                yield
            finally:
                lock.release()

    @asynccontextmanager
    async def hold_async(self, key: str, timeout: float, where: str) -> AsyncIterator[None]:  # noqa: ASYNC109 - as hold()
        """Do the same as ``hold`` without blocking the event loop."""
        import asyncio  # noqa: PLC0415 - not needed without an event loop

        with self._used(key, timeout) as lock:
            end = time.monotonic() + timeout
            # No thread tells the event loop about a free lock, so it has to try again.
            while not lock.acquire(blocking=False):
                left = end - time.monotonic()
                if left <= 0:
                    raise _late(where, timeout)
                await asyncio.sleep(min(left, _POLL))
            try:
                yield
            finally:
                lock.release()

    @contextmanager
    def _used(self, key: str, timeout: float) -> Iterator[threading.Lock]:
        check_lock_wait(timeout)
        if self._process != os.getpid():
            # The parent's other threads do not exist in a forked child, so they cannot release.
            self._clear()
        lock = self._enter(key)
        try:
            yield lock
        finally:
            self._leave(key, lock)

    def _enter(self, key: str) -> threading.Lock:
        with self._guard:
            lock, users = self._table.get(key) or (threading.Lock(), 0)
            self._table[key] = (lock, users + 1)
            return lock

    def _leave(self, key: str, lock: threading.Lock) -> None:
        with self._guard:
            held, users = self._table.get(key, (None, 0))
            if held is not lock:
                return  # held across a fork: the child started with an empty table
            if users == 1:
                del self._table[key]
            else:
                self._table[key] = (lock, users - 1)

    def __len__(self) -> int:
        return len(self._table)


def _late(where: str, timeout: float) -> StoreLockError:
    return StoreLockError(
        f"{where}: another thread or task of this process held the lock for longer than the "
        f"timeout of {timeout:g} s; retry, or use a longer timeout."
    )
