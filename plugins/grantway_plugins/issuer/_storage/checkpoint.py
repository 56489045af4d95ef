"""Checkpoint SQLite's write-ahead log in the background.

A checkpoint waits for the disk. By default, SQLite runs it as part of a commit, which took a third
of the time on a busy issuer. A separate connection runs it without delaying commits.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from contextlib import closing

#: Seconds between a change and the next checkpoint.
EVERY = 1.0
#: Size of the log, in pages, at which a commit runs the checkpoint if this thread cannot keep up.
FALLBACK_PAGES = 16_384

_log = logging.getLogger("grantway.issuer")


class Checkpointer:
    """Runs checkpoints in a background thread.

    Args:
        path: The database file.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._changed = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="grantway-checkpoint", daemon=True)
        self._thread.start()

    def changed(self) -> None:
        """Report a commit."""
        if not self._changed.is_set():
            self._changed.set()

    def stop(self) -> None:
        """Stop the thread. SQLite runs the last checkpoint when the last connection is closed."""
        self._stopping.set()
        self._changed.set()
        self._thread.join()

    def _run(self) -> None:
        # A passive checkpoint skips what is in use; the next one handles it.
        with closing(sqlite3.connect(self._path, isolation_level=None)) as connection:
            while self._changed.wait() and not self._stopping.wait(EVERY):
                self._changed.clear()
                try:
                    connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
                except sqlite3.Error as failed:
                    _log.warning("A checkpoint failed and will be retried: %s", failed)
