"""Checkpoint SQLite's write-ahead log in the background.

A checkpoint waits for the disk. Left to SQLite, the writer runs it inside some request's commit,
and on a busy issuer a third of the time goes into these waits. A separate connection does the
same beside the writer, whose commits go on meanwhile.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from contextlib import closing

#: Seconds between the first change and the checkpoint that moves it, with all that came after.
EVERY = 1.0
#: Pages of the log at which the writer checkpoints by itself, should this thread not keep up.
FALLBACK_PAGES = 16_384

_log = logging.getLogger("grantway.issuer")


class Checkpointer:
    """Runs checkpoints in a thread while the log has changes.

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
        """Stop the thread; closing the last connection checkpoints the rest."""
        self._stopping.set()
        self._changed.set()
        self._thread.join()

    def _run(self) -> None:
        # A checkpoint that finds the database busy leaves it to the next one.
        with closing(sqlite3.connect(self._path, isolation_level=None)) as connection:
            while self._changed.wait() and not self._stopping.wait(EVERY):
                self._changed.clear()
                try:
                    connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
                except sqlite3.Error as failed:
                    _log.warning("A checkpoint failed (%s); the next one tries again", failed)
