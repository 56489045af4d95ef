"""One lock a key among the threads of a process; the table holds only keys in use."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from grantway._exceptions import StoreLockError
from grantway._types.quantity import check_lock_wait


class ThreadLocks:
    """Locks by key. Not reentrant; keys do not wait for each other."""

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self._process = os.getpid()
        self._guard = threading.Lock()
        #: Key -> its lock, and how many hold it or wait for it.
        self._table: dict[str, tuple[threading.Lock, int]] = {}

    @contextmanager
    def hold(self, key: str, timeout: float, where: str) -> Iterator[None]:
        """Hold the key alone among the threads of this process.

        Args:
            key: Which key.
            timeout: Seconds to wait at most; 0 tries once.
            where: Names the lock in the error.

        Raises:
            ConfigurationError: ``timeout`` is no duration.
            StoreLockError: another thread held it for all of ``timeout``.
        """
        check_lock_wait(timeout)
        if self._process != os.getpid():
            # In a fork, nobody is left to free what other threads of the parent held.
            self._clear()
        lock = self._enter(key)
        try:
            if not lock.acquire(timeout=min(max(timeout, 0.0), threading.TIMEOUT_MAX)):
                raise StoreLockError(
                    f"{where}: locked by another thread of this process for longer than the "
                    f"{timeout:g} seconds to wait; try again, or wait longer."
                )
            try:
                yield
            finally:
                lock.release()
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
                return  # held across a fork: the child's table has begun anew
            if users == 1:
                del self._table[key]
            else:
                self._table[key] = (lock, users - 1)

    def __len__(self) -> int:
        return len(self._table)
