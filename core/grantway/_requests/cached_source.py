"""Read a secret source once for all callers, and cache the result."""

from __future__ import annotations

import contextvars
import os
import threading
import time
from concurrent.futures import Future
from typing import Any

from grantway._exceptions import SecretUnavailableError
from grantway._log import logger
from grantway._processes.copies import OneProcess
from grantway._processes.fork import fork_safe_lock
from grantway._types.callables import is_unfinished, kind_of
from grantway._types.secret_source import Secret, SecretSource

#: Seconds before ``expires_at`` from which a source is read again, for the way to the provider.
_MARGIN = 10.0
#: Guards the fields of all sources; held for assignments only.
_lock = fork_safe_lock()


class CachedSource(OneProcess):
    """A secret source whose result is cached until it expires, changes or is rejected.

    If the source cannot be read again, for example while a file is replaced, a cached secret that
    has not expired stays in use, and a warning is logged.

    Args:
        source: The source.
        named: The source in errors.
    """

    stays = "it holds a secret; create the source in the process that uses it"

    def __init__(self, source: SecretSource, named: str) -> None:
        self._source = source
        self._named = named
        self._version = getattr(source, "version", None)
        self._cached: tuple[Secret, object] | None = None
        self._reading: Future[Secret] | None = None
        self._process = 0

    def fresh(self) -> Secret | None:
        """Return the cached secret, or None if the source must be read."""
        if self._cached is None:
            return None
        secret, version = self._cached
        if secret.expires_at is not None and time.time() > secret.expires_at - _MARGIN:
            return None
        return secret if version == self._current_version() else None

    def read(self) -> Secret:
        """Return the secret. Waits for the source if nothing fresh is cached.

        Raises:
            SecretUnavailableError: The source cannot be read.
        """
        return self.fresh() or self.begin().result()

    def begin(self) -> Future[Secret]:
        """Return the future of a read in another thread, which all callers share.

        The process waits for that thread before it exits, so that a program that the source runs
        is not left behind.
        """
        with _lock:
            if self._reading is not None and self._process == os.getpid():
                return self._reading
            reading: Future[Secret] = Future()
            self._reading, self._process = reading, os.getpid()
        context = contextvars.copy_context()
        thread = threading.Thread(
            target=context.run, args=(self._run, reading), name="grantway-secret"
        )
        try:
            thread.start()
        except RuntimeError:  # the interpreter is shutting down, or there are too many threads
            self._run(reading)
        except BaseException:  # such as Ctrl-C: no caller may wait for a thread that did not start
            if reading.cancel():
                self._reading = None
            raise
        return reading

    def reject(self, value: str) -> None:
        """Read the source again for the next use, if this rejected value is the cached one."""
        with _lock:
            if self._cached is not None and self._cached[0].value == value:
                self._cached = self._cached[0], object()

    def _run(self, reading: Future[Secret]) -> None:
        if not reading.set_running_or_notify_cancel():
            return
        try:
            secret = self._read()
        except BaseException as error:  # noqa: BLE001 - the waiting callers get it
            self._reading = None
            reading.set_exception(error)
        else:
            self._reading = None
            reading.set_result(secret)

    def _read(self) -> Secret:
        # Before reading, so that a change during the read causes another one.
        version = self._current_version()
        try:
            secret = self._checked(self._source.read())
        except SecretUnavailableError as error:
            return self._last_or(error.message, error)
        except Exception as error:  # noqa: BLE001 - a plugin's code
            return self._last_or(f"it raised {type(error).__name__}", error)
        self._cached = secret, version
        return secret

    def _checked(self, found: Any) -> Secret:
        if isinstance(found, Secret):
            return found
        problem = "is asynchronous" if is_unfinished(found) else f"returned {kind_of(found)}"
        raise SecretUnavailableError(f"its read {problem}; it must return a grantway.Secret")

    def _last_or(self, problem: str, cause: Exception) -> Secret:
        """Return the cached secret if it has not expired; otherwise raise the error."""
        message = f"{self._named} cannot be read: {problem}"
        if self._cached is not None:
            secret, _ = self._cached
            if secret.expires_at is None or time.time() < secret.expires_at:
                logger.warning("Keeping the last secret: %s", message)
                return secret
        raise SecretUnavailableError(message) from cause

    def _current_version(self) -> object:
        return None if self._version is None else self._version()

    def __repr__(self) -> str:
        return f"CachedSource({self._named})"
