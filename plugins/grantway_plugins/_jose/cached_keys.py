"""Published keys of an issuer or a client, read in a thread and kept for a while."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import Future

from grantway._processes.copies import OneProcess
from grantway._processes.fork import fork_safe_lock

from .errors import KeysUnavailableError
from .key_set import KeySet
from .reading_keys import UnreadableKeysError

#: Age in seconds after which keys are read again, while requests still use the old ones.
REFRESH_AFTER = 600.0
#: Age in seconds after which keys are not used any more.
EXPIRE_AFTER = 3600.0
#: Minimum seconds between two reads.
PAUSE = 10.0

#: Yields a read in progress, to receive its result: the keys, or why they cannot be read.
KeySteps = Generator[Future["KeySet | str"], "KeySet | str", KeySet]

_log = logging.getLogger("grantway.issuer")
_LOCK = fork_safe_lock()


class CachedKeys(OneProcess):
    """Published keys of one issuer or client.

    Each read runs in its own thread, so a server that does not respond delays only its own tokens.
    All requests that need the keys meanwhile wait for the same read.

    Args:
        issuer: The issuer, or the URL of a client's keys, for the log.
        read: Reads the keys; may block.
        timer: A clock that never runs backwards, in seconds.
        version: Returns a value that differs when the keys may have changed; must not block.
        log: Logs keys that cannot be read.
        level: Level of these messages.
    """

    def __init__(
        self,
        issuer: str,
        read: Callable[[], KeySet],
        timer: Callable[[], float] = time.monotonic,
        *,
        version: Callable[[], object] = lambda: None,
        log: logging.Logger = _log,
        level: int = logging.WARNING,
    ) -> None:
        self._issuer = issuer
        self._read, self._log, self._level = read, log, level
        self._version = version
        self._read_version: object = None
        self._timer = timer
        self._process = 0
        self._reading: Future[KeySet | str] | None = None
        self._keys: KeySet | None = None
        self._read_at = 0.0
        self._tried_at = float("-inf")
        self._problem, self._failing_since = "", 0.0

    def current(self) -> KeySteps:
        """Return the keys, and read them first if there are none, or if they expired or changed.

        Raises:
            KeysUnavailableError: there are no valid keys.
        """
        keys, age = self._keys, self._timer() - self._read_at
        if keys is None or age >= EXPIRE_AFTER or self._version() != self._read_version:
            return (yield from self._reread())
        if age >= REFRESH_AFTER:
            self._start()
        return keys

    def status(self) -> tuple[bool, str, float]:
        """Return whether there are valid keys, the problem of the last read, and since when.

        Starts a read if one is due, so that a program that no longer gets requests because of this
        status recovers.
        """
        age = self._timer() - self._read_at
        if self._keys is None or age >= REFRESH_AFTER or self._version() != self._read_version:
            self._start()
        with _LOCK:
            valid = self._keys is not None and self._timer() - self._read_at < EXPIRE_AFTER
            return valid, self._problem, self._failing_since

    def after(self, known: KeySet) -> KeySteps:
        """Return newer keys than the known ones, which may be the same if they were just read."""
        keys = self._keys
        if keys is not None and keys is not known:
            return keys
        return (yield from self._reread())

    def _reread(self) -> KeySteps:
        reading = self._start()
        if reading is not None:
            outcome = yield reading
            if isinstance(outcome, KeySet):
                return outcome
        keys = self._keys
        if keys is not None and self._timer() - self._read_at < EXPIRE_AFTER:
            return keys
        raise KeysUnavailableError(self._issuer, self._problem)

    def _start(self) -> Future[KeySet | str] | None:
        """Return the read in progress; start one unless the last one was a moment ago."""
        with _LOCK:
            if self._reading is not None:
                if self._process == os.getpid():
                    return self._reading
                # The thread that reads does not survive a fork.
            elif self._timer() - self._tried_at < PAUSE:
                return None
            self._tried_at, self._process = self._timer(), os.getpid()
            reading = self._reading = Future[KeySet | str]()
        reading.set_running_or_notify_cancel()  # a request that stops waiting cancels nothing
        try:
            threading.Thread(
                target=self._run, args=(reading,), name="grantway-keys", daemon=True
            ).start()
        except RuntimeError:  # the system cannot start another thread
            self._finish(reading, "no thread can be started")
        return reading

    def _run(self, reading: Future[KeySet | str]) -> None:
        try:
            version = self._version()  # before reading, so that a change causes another read
            keys = self._read()
        except UnreadableKeysError as error:
            self._finish(reading, str(error))
        except Exception as error:  # noqa: BLE001 - requests must not wait forever
            self._finish(reading, f"unexpected {type(error).__name__}")
        else:
            self._finish(reading, keys, version)

    def _finish(
        self, reading: Future[KeySet | str], outcome: KeySet | str, version: object = None
    ) -> None:
        """End a read with the keys, or with the problem."""
        with _LOCK:
            self._reading = None
            self._tried_at = self._timer()  # a read that fails may take longer than the pause
            if isinstance(outcome, KeySet):
                self._keys, self._read_at, self._read_version = outcome, self._timer(), version
                self._problem, self._failing_since = "", 0.0
            else:
                self._problem, self._failing_since = outcome, self._failing_since or time.time()
        if not isinstance(outcome, KeySet):
            self._log.log(
                self._level,
                "The keys of %s cannot be read, and will be tried again when a token needs them: "
                "%s",
                self._issuer,
                outcome,
            )
        reading.set_result(outcome)
