"""Per-key file locks among the processes of one machine."""

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

#: Seconds between attempts to acquire a lock that another process holds.
_POLL = 0.02


class KeyLocks:
    """Locks by key, shared by all threads and processes that use the same folder.

    The locks are not reentrant. The operating system releases a lock when its holder exits or is
    killed. The empty lock files are never removed, because removing one could let two processes
    hold the lock at once.

    Args:
        folder: Folder of the lock files. Created with mode 0700 on first use.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # Threads wait for each other here first, so that only one per process polls the file.
        self._threads = ThreadLocks()

    @contextmanager
    def hold(self, key: str, timeout: float) -> Iterator[int]:
        """Hold the lock of a key while the block runs. Yields the fence 0: it cannot be lost.

        Args:
            key: The key to lock.
            timeout: Seconds to wait at most; 0 tries once.

        Raises:
            StoreLockError: The lock was not available within ``timeout``; names the file.
            StoreUnreadableError: The file cannot be created or locked; names it and the remedy.
            ConfigurationError: filelock is not installed, or ``timeout`` is not a valid duration.
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
            from filelock import FileLock, Timeout  # noqa: PLC0415 - not needed to read a token
        except ModuleNotFoundError:
            raise ConfigurationError(
                "locks between processes need filelock; install it with: "
                "pip install 'grantway[file]'"
            ) from None
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # A new object for each holder: a shared FileLock is reentrant. Not thread-local,
            # because the holder may continue in another thread.
            lock = FileLock(path, mode=0o600, thread_local=False)
            lock.acquire(timeout=left, poll_interval=_POLL)
        except Timeout:
            pass
        except OSError as error:
            raise StoreUnreadableError(f"{path}: cannot be locked: {advice(error)}") from None
        else:
            return lock
        raise StoreLockError(
            f"{path}: another process held the lock for longer than the timeout of {timeout:g} s; "
            "retry, use a longer timeout, or stop that process."
        )
