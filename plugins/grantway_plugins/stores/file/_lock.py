"""Locks by key among the processes of one machine, each a file that the system locks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from grantway._exceptions import ConfigurationError, StoreLockError, StoreUnreadableError
from grantway._types.quantity import check_lock_wait
from grantway_plugins.stores._shared.key_locks import ThreadLocks

from ._format import name_of
from ._problems import advice

if TYPE_CHECKING:
    from filelock import BaseFileLock

#: Seconds between two looks at a lock that another process holds.
_POLL = 0.02


class KeyLocks:
    """Locks by key, for all threads and processes that name the same folder.

    Not reentrant. The system frees a lock when its holder ends, however it ends. A lock's file
    is empty and is left behind: whoever removed it could let two in at once.

    Args:
        folder: Where the files of the locks lie; made, for this user alone, when first needed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # Threads wait here, woken at once, so that no more than one a process polls the file.
        self._threads = ThreadLocks()

    @contextmanager
    def hold(self, key: str, timeout: float) -> Iterator[int]:
        """Hold the key alone; gives the fence 0, because the lock cannot be lost.

        Args:
            key: Which key.
            timeout: Seconds to wait at most; 0 tries once.

        Raises:
            StoreLockError: it was not to be had in time; names the file.
            StoreUnreadableError: the file cannot be made or locked; names it, and what to do.
            ConfigurationError: filelock is not installed, or ``timeout`` is no duration.
        """
        path = self._folder / f"{name_of(key)}.lock"
        check_lock_wait(timeout)
        end = time.monotonic() + timeout
        with self._threads.hold(key, timeout, str(path)):
            lock = self._acquire(path, max(0.0, end - time.monotonic()), timeout)
            try:
                yield 0
            finally:
                lock.release()

    def _acquire(self, path: Path, left: float, timeout: float) -> BaseFileLock:
        try:
            from filelock import FileLock, Timeout  # noqa: PLC0415 - reading a token needs none
        except ModuleNotFoundError:
            raise ConfigurationError(
                "locks between processes need filelock; install it with: "
                "pip install 'grantway[file]'"
            ) from None
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # A lock of its own for each holder: one that is shared counts, and so lets its
            # holder in again. Not of the thread, since a holder may go on in another.
            lock = FileLock(path, mode=0o600, thread_local=False)
            lock.acquire(timeout=left, poll_interval=_POLL)
        except Timeout:
            pass
        except OSError as error:
            raise StoreUnreadableError(f"{path}: cannot be locked: {advice(error)}") from None
        else:
            return lock
        raise StoreLockError(
            f"{path}: locked by another process for longer than the {timeout:g} seconds to wait; "
            "try again, wait longer, or end that process."
        )
