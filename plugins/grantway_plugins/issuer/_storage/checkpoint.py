"""Checkpoint SQLite's write-ahead log in the background.

A checkpoint waits for the disk. By default, SQLite runs it as part of a commit, which took a third
of the time on a busy issuer. A separate connection runs it without delaying commits.

The log starts again from its beginning only if a checkpoint has copied all of it. On a busy issuer,
commits add pages meanwhile, and the log would grow until a commit runs a long checkpoint. Therefore
a long log is copied twice in a row, and the few pages that are left while commits wait.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from contextlib import closing

#: Seconds between a change and the next checkpoint.
EVERY = 1.0
#: Size of the log, in pages, at which a commit runs the checkpoint if this thread cannot keep up.
FALLBACK_PAGES = 65_536
#: Size of the log, in pages, from which commits wait for the end of a checkpoint.
LONG_PAGES = 16_384
#: Attempts to find the moment between two commits, and the seconds between the attempts.
ATTEMPTS, ATTEMPT_SECONDS = 100, 0.002

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
        # Without a timeout: while it waited for a reader, it would block commits.
        with closing(sqlite3.connect(self._path, isolation_level=None, timeout=0)) as connection:
            while self._changed.wait() and not self._stopping.wait(EVERY):
                self._changed.clear()
                try:
                    checkpoint(connection)
                except sqlite3.Error as failed:
                    _log.warning("A checkpoint failed and will be retried: %s", failed)


def checkpoint(connection: sqlite3.Connection) -> None:
    """Copy the log to the database, without delaying commits unless the log is long."""
    # A passive checkpoint skips what is in use; the next one handles it.
    _busy, pages, _copied = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    if pages < LONG_PAGES:
        return
    for _ in range(ATTEMPTS):
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        is_busy, _pages, _copied = connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
        if not is_busy:
            return
        time.sleep(ATTEMPT_SECONDS)
