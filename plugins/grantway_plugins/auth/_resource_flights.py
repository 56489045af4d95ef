"""Get a token in a separate thread, once for all callers that need it."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

from cachetools import TTLCache

from grantway._credentials import single_flight
from grantway._credentials.single_flight import Flight
from grantway._exceptions import (
    ConfigurationError,
    GrantwayError,
    LoginNeededError,
    TransportError,
    WaitTimeoutError,
)
from grantway._processes.copies import OneProcess
from grantway._processes.fork import fork_safe_lock
from grantway._transport.deadline import Deadline
from grantway._types.quantity import check_wait
from grantway._types.token import Token

from ._resource_need import RUNNING, Login, LoginCall, Need, wanted
from ._resource_sessions import Sessions
from ._resource_settings import ResourceSettings

#: Seconds after a failed login during which requests do not start another one.
_PAUSE, _SHORT_PAUSE = 60.0, 5.0

_guard = fork_safe_lock()


class _Failure(NamedTuple):
    """A failed login.

    Attributes:
        error: The error.
        at: Monotonic time of the failure.
        until: Monotonic time of the next login.
    """

    error: Exception
    at: float
    until: float


class _Waiting:
    """The callers that wait for one flight, and the event that ends it."""

    def __init__(self, key: object, flight: Flight, cancel: threading.Event) -> None:
        self.key = key
        self.flight = flight
        self.cancel = cancel
        self.callers = 0


class ResourceFlights(OneProcess):
    """The searches and logins of a resource that run.

    Args:
        settings: The program's settings.
        sessions: Gets the tokens.
        login: The program's login, or None.
    """

    stays = "it holds a session"

    def __init__(self, settings: ResourceSettings, sessions: Sessions, login: Login | None) -> None:
        self._settings = settings
        self._sessions = sessions
        self._login = login
        self._waiting: dict[object, _Waiting] = {}
        self._failures: MutableMapping[object, _Failure] = TTLCache(64, _PAUSE, time.monotonic)

    @property
    def running(self) -> bool:
        """Whether the login calls this object itself."""
        return self in RUNNING.get()

    def forget_failures(self) -> None:
        """Let the next call start a login even if the last one failed a moment ago."""
        with _guard:
            self._failures.clear()

    def wait(self, need: Need, timeout: float | None = None) -> Token:
        """Return a token that meets a need.

        Args:
            need: Why a token is needed.
            timeout: Longest wait in seconds; None for no limit.
        """
        deadline = _deadline(timeout)
        with self._joined(need, None) as flight:
            if not single_flight.wait(flight, deadline):
                raise self._timeout(deadline)
        return self._result(flight)

    async def wait_async(self, need: Need, timeout: float | None = None) -> Token:  # noqa: ASYNC109 - as wait()
        """Do the same as ``wait`` without blocking the event loop."""
        deadline = _deadline(timeout)
        with self._joined(need, asyncio.get_running_loop()) as flight:
            if not await flight.wait_async(deadline):
                raise self._timeout(deadline)
        return self._result(flight)

    def _result(self, flight: Flight) -> Token:
        single_flight.raise_copy(flight)
        return flight.result()

    def _timeout(self, deadline: Deadline) -> WaitTimeoutError:
        return WaitTimeoutError(
            f"No token for {self._settings.url} within {deadline.seconds:g} s. Try again, or use a "
            "longer timeout."
        )

    @contextmanager
    def _joined(self, need: Need, loop: asyncio.AbstractEventLoop | None) -> Iterator[Flight]:
        """Join the work for a need; start it if it does not run.

        It is cancelled if all callers are interrupted, but not if they time out: the user may be
        about to finish the login.
        """
        if self.running:
            raise ConfigurationError(
                "login: used the ResourceAuth that called it, which would wait for itself; send "
                "requests of the login with another object."
            )
        waiting = self._join(need, loop)
        interrupted = False
        try:
            yield waiting.flight
        except BaseException as error:
            interrupted = not isinstance(error, Exception)
            raise
        finally:
            with _guard:
                waiting.callers -= 1
                if waiting.callers == 0 and interrupted:
                    waiting.cancel.set()

    def _join(self, need: Need, loop: asyncio.AbstractEventLoop | None) -> _Waiting:
        with _guard:
            waiting = self._running(need)
            if waiting is None:
                for old in [name for name, each in self._waiting.items() if each.flight.done()]:
                    del self._waiting[old]
                # A new key, because a cancelled flight of the same need may not have ended yet.
                key, cancel = object(), threading.Event()
                flight = single_flight.join(key, partial(self._acquire, need, loop, cancel))
                self._waiting[need.key] = waiting = _Waiting(key, flight, cancel)
            waiting.callers += 1
        return waiting

    def _running(self, need: Need) -> _Waiting | None:
        """Return the flight for a need that runs and was not cancelled."""
        waiting = self._waiting.get(need.key)
        if waiting is None or waiting.cancel.is_set():
            return None
        return waiting if single_flight.is_running(waiting.key) else None

    def _acquire(
        self, need: Need, loop: asyncio.AbstractEventLoop | None, cancel: threading.Event
    ) -> Token:
        """Get a token in a separate thread."""
        call, paused = None, self._paused(need)
        if self._login is not None and paused is None:
            call = LoginCall(self, self._login, self._settings.redirect, loop, cancel)
        if self._login is None and need.forced:
            raise ConfigurationError(
                "login: is required to log in, such as "
                "login=grantway_grants.authorization_code.login.",
                errors={"login": ["is required to log in"]},
            )
        try:
            token = self._sessions.acquire(need, call)
        except LoginNeededError:
            if paused is None:
                raise
            now = time.monotonic()
            raise LoginNeededError(
                f"There is no token for {self._settings.url}: the login {now - paused.at:.0f} s "
                f"ago failed. {_told(paused.error)} Another one starts in "
                f"{paused.until - now:.0f} s at the earliest; call log_in() to log in now."
            ) from paused.error
        except Exception as error:
            if call is not None and call.called and not cancel.is_set():
                now, short = time.monotonic(), isinstance(error, TransportError)
                until = now + (_SHORT_PAUSE if short else _PAUSE)
                with _guard:
                    self._failures[wanted(need)] = _Failure(error, now, until)
            raise
        with _guard:
            self._failures.pop(wanted(need), None)
        return token

    def _paused(self, need: Need) -> _Failure | None:
        if need.forced:
            return None
        with _guard:
            failure = self._failures.get(wanted(need))
        return failure if failure is not None and time.monotonic() < failure.until else None


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, GrantwayError) else type(error).__name__


def _deadline(timeout: float | None) -> Deadline:
    wait = check_wait(timeout)
    return Deadline(math.inf if wait is None else wait)
