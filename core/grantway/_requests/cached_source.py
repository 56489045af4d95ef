"""Read a secret source once for all callers, and cache the result."""

from __future__ import annotations

import contextvars
import math
import os
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, cast

from grantway._exceptions import ConfigurationError, SecretUnavailableError
from grantway._log import logger
from grantway._processes.copies import OneProcess
from grantway._processes.fork import fork_safe_lock
from grantway._secrets.hidden_arguments import hides_arguments
from grantway._types.callables import is_unfinished, kind_of
from grantway._types.secret_source import Secret, SecretSource, problem_of

#: Seconds before ``expires_at`` at which a source is read again, so that a secret does not expire
#: on its way to the provider.
_MARGIN = 10.0
#: Seconds for which a result is used even if it expires sooner, so that one request reads it once.
_LEAST = 1.0
#: The version of a source whose version() fails.
_FAILED = object()
#: Guards the fields of all sources; held for assignments only.
_lock = fork_safe_lock()


class CachedSource(OneProcess):
    """A secret source whose result is cached until it expires, changes or is rejected.

    Calling it returns the value, so that it can be the value of a grant's parameter.

    If the source cannot be read again, for example while a file is replaced, a cached secret that
    has not expired stays in use, and a warning is logged.

    Args:
        source: The source.
        named: The source in errors.

    Attributes:
        named: The source in errors.
        where: The setting in errors, with its place in a file; by default the argument that the
            source was passed as.
        single_use: Whether a result is for one send only.
    """

    stays = "it holds a secret; create the source in the process that uses it"

    def __init__(self, source: SecretSource, named: str) -> None:
        self._source = source
        self.named = named
        self.where = ""
        self.single_use: bool = getattr(source, "single_use", False) is True
        self._version = getattr(source, "version", None)
        self._cached: _Cached | None = None
        self._reading: Future[Secret] | None = None
        self._process = 0
        self._warning = ""

    def fresh(self) -> Secret | None:
        """Return the cached secret, or None if the source must be read."""
        cached = self._cached
        if cached is None or cached.rejected or cached.version != self._current_version():
            return None
        return cached.secret if cached.lasts() else None

    def read(self) -> Secret:
        """Return the secret. Waits for the source if nothing fresh is cached.

        Raises:
            SecretUnavailableError: The source cannot be read.
        """
        return self.fresh() or self.begin().result()

    def __call__(self) -> str:
        """Return the value of the secret; see ``read``."""
        return self.read().value

    def for_call(self) -> CachedSource:
        """Return the source for one call, which shares no single-use result with other calls."""
        if not self.single_use:
            return self
        own = CachedSource(self._source, self.named)
        own.where = self.where
        return own

    def sent(self) -> None:
        """Discard a single-use result, because a request with it is sent."""
        if self.single_use:
            self._cached = None

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
            if self._cached is not None and self._cached.secret.value == value:
                self._cached.rejected = True

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

    @hides_arguments
    def _read(self) -> Secret:
        if (found := self.fresh()) is not None:
            return found  # another caller's read ended just before this one began
        # Before reading, so that a change during the read causes another one.
        version = self._current_version()
        try:
            secret = self._checked(self._source.read())
        except SecretUnavailableError as error:
            return self._last_or(error.message, error)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - a plugin's code
            return self._last_or(f"it raised {type(error).__name__}", error)
        self._cached = _Cached(secret, version)
        self._warning = ""
        return secret

    def _checked(self, found: Any) -> Secret:
        if isinstance(found, Secret):
            return found
        problem = "is asynchronous" if is_unfinished(found) else f"returned {kind_of(found)}"
        raise SecretUnavailableError(f"its read {problem}; it must return a grantway.Secret")

    def _last_or(self, problem: str, cause: BaseException) -> Secret:
        """Return the cached secret if it has not expired; otherwise raise the error."""
        message = f"{self.named} cannot be read: {problem}"
        if self._cached is not None:
            secret = self._cached.secret
            if secret.expires_at is None or time.time() < secret.expires_at:
                if self._warning != message:  # not for every request
                    self._warning = message
                    logger.warning("Keeping the last secret: %s", message)
                return secret
        raise SecretUnavailableError(message) from cause

    def _current_version(self) -> object:
        if self._version is None:
            return None
        try:
            return self._version()
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: BLE001 - a plugin's code; read tells the problem
            # Always the same: a value that differs would make each use read the source, and block
            # the event loop of asynchronous callers.
            return _FAILED

    def __repr__(self) -> str:
        return f"CachedSource({self.named})"


@dataclass(slots=True)
class _Cached:
    """A secret, and the version of its source."""

    secret: Secret
    version: object = field(repr=False)  # the value itself, for an environment variable
    rejected: bool = False
    read_at: float = field(default_factory=time.monotonic)
    lifetime: float = math.inf

    def __post_init__(self) -> None:
        if self.secret.expires_at is not None:
            self.lifetime = self.secret.expires_at - time.time()

    def lasts(self) -> bool:
        """Return whether the secret is valid long enough to be sent.

        The monotonic clock stops while the machine sleeps, and the other clock may be set back.
        """
        end, age = self.secret.expires_at, time.monotonic() - self.read_at
        if end is None or age < _LEAST:
            return True
        return age < self.lifetime - _MARGIN and time.time() < end - _MARGIN


def cached(source: object, setting: str) -> CachedSource:
    """Return a source that caches its result; a source of a registry does so already.

    Args:
        source: The source.
        setting: The argument that it was passed as, for errors.

    Raises:
        ConfigurationError: The object is not a secret source.
    """
    if isinstance(source, CachedSource):
        return source
    if problem := problem_of(source):
        raise ConfigurationError(
            f"{setting}: {kind_of(source)} {problem}; give a string or a secret source with "
            "read().",
            errors={setting: [problem]},
        )
    kind = type(source)
    return CachedSource(
        cast("SecretSource", source), f"the secret source {kind.__module__}.{kind.__qualname__}"
    )
