"""The record of a resource in the program's store, and its lock."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from grantway._exceptions import FlowCancelledError, LeaseLostError, StoreLockError
from grantway._log import logger
from grantway._processes.copies import OneProcess

from .record import ResourceRecord
from .settings import ResourceSettings

#: Seconds of one wait for the lock, after which it is checked whether the caller still waits.
_LOCK_WAIT = 1.0


class RecordStore(OneProcess):
    """Reads and writes the record of a resource.

    Args:
        settings: The program's settings.
    """

    stays = "it holds a store"

    def __init__(self, settings: ResourceSettings) -> None:
        self._settings = settings

    def read(self) -> ResourceRecord | None:
        """Return the stored record of the resource."""
        return ResourceRecord.of(self._settings.store.load(self._settings.key))

    def write(self, record: ResourceRecord, fence: int) -> None:
        """Store the record.

        Args:
            record: The record.
            fence: Fence of the lock.

        Raises:
            LeaseLostError: Another process has stored a newer record.
            StoreError: The record could not be stored.
        """
        self._settings.store.save(self._settings.key, record.to_token(), fence=fence)

    def write_if_newest(self, record: ResourceRecord, fence: int) -> None:
        """Store the record, unless another process has stored a newer one.

        Without it, the next process discovers the resource again.
        """
        try:
            self.write(record, fence)
        except LeaseLostError:
            logger.debug("another process has stored a newer record of %s", self._settings.url)

    @contextlib.contextmanager
    def lock(self, cancel: threading.Event | None = None) -> Iterator[int]:
        """Hold the lock of the record, and return its fence.

        A login in another process may take minutes.

        Args:
            cancel: Set when no caller waits any more.

        Raises:
            FlowCancelledError: ``cancel`` was set.
        """
        settings = self._settings
        with contextlib.ExitStack() as held:
            while True:
                if cancel is not None and cancel.is_set():
                    raise FlowCancelledError("The login was cancelled: nothing waits for it.")
                try:
                    fence = held.enter_context(settings.store.lock(settings.key, _LOCK_WAIT))
                    break
                except StoreLockError:
                    continue
            yield fence
