"""Get a token in a separate thread, once for all callers that need it."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager, suppress
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
from grantway._types.callables import is_async
from grantway._types.quantity import check_wait
from grantway._types.token import Token

from .login_call import RUNNING, Login, LoginCall, LoginInterruptedError, is_asynchronous
from .need import Need, Reason, requirements_of
from .sessions import NeverLoggedInError, Sessions
from .settings import ResourceSettings

#: Seconds after a failed login during which requests do not start another one.
_PAUSE, _SHORT_PAUSE = 60.0, 5.0
#: Seconds between checks whether the program ends.
_CHECK = 1.0

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


class _Cancel(threading.Event):
    """Set if nothing waits for a flight, and all callers were interrupted or the program ends.

    Attributes:
        callers: Number of callers that wait.
    """

    def __init__(self) -> None:
        super().__init__()
        self.callers = 1

    def is_set(self) -> bool:
        """Return whether it is set; a flight without callers must not delay the program's end."""
        return super().is_set() or not (self.callers or threading.main_thread().is_alive())

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, and return whether it is."""
        deadline = Deadline(math.inf if timeout is None else timeout)
        while not self.is_set() and (left := deadline.remaining()) > 0:
            super().wait(min(left, _CHECK))
        return self.is_set()


class _Waiting(NamedTuple):
    """A flight, its key and need, the event loop for its login, and the event that ends it."""

    key: object
    need: Need
    flight: Flight
    loop: asyncio.AbstractEventLoop | None
    cancel: _Cancel

    def is_lost(self, loop: asyncio.AbstractEventLoop | None) -> bool:
        """Return whether the login ended with its event loop, which is not that of the caller."""
        lost = not self.flight.cancelled() and self.flight.exception()
        return self.loop is not loop and isinstance(lost, LoginInterruptedError)

    def helps_only_others(self, need: Need, token: Token) -> bool:
        """Return whether the token of the flight is one that the resource rejected."""
        other = self.need.presented
        return other != need.presented and token.access_token in (*other, *need.presented)


class ResourceFlights(OneProcess):
    """Runs searches for the issuer and logins, each once for all callers that need it.

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
        self._on_loop = is_async(login)
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
        deadline, key = _deadline(timeout), need.key
        while True:
            with self._joined(need, key, None) as waiting:
                self._reject_own_loop(waiting)
                if not single_flight.wait(waiting.flight, deadline):
                    raise self._timeout(deadline)
            if waiting.is_lost(None):
                continue
            token = self._result(waiting.flight)
            if not waiting.helps_only_others(need, token):
                return token
            key = need.exact_key

    async def wait_async(self, need: Need, timeout: float | None = None) -> Token:  # noqa: ASYNC109 - as wait()
        """Do the same as ``wait`` without blocking the event loop."""
        deadline, loop, key = _deadline(timeout), asyncio.get_running_loop(), need.key
        while True:
            with self._joined(need, key, loop) as waiting:
                if not await waiting.flight.wait_async(deadline):
                    raise self._timeout(deadline)
            if waiting.is_lost(loop):
                continue
            token = self._result(waiting.flight)
            if not waiting.helps_only_others(need, token):
                return token
            key = need.exact_key

    def _result(self, flight: Flight) -> Token:
        single_flight.raise_copy(flight)
        return flight.result()

    def _timeout(self, deadline: Deadline) -> WaitTimeoutError:
        return WaitTimeoutError(
            f"No token for {self._settings.url} within {deadline.seconds:g} s. Try again, or use a "
            "longer timeout."
        )

    def reject_own_login(self) -> None:
        """Raise if the login calls this object itself.

        Raises:
            ConfigurationError: It does.
        """
        if self.running:
            raise ConfigurationError(
                "login: used the ResourceAuth that called it, which would wait for itself; use the "
                "client that login gets, return the token, and send requests of the login with "
                "another object."
            )

    def _reject_own_loop(self, waiting: _Waiting) -> None:
        """Raise if a blocking call would stop the event loop that runs the login.

        Raises:
            ConfigurationError: It would.
        """
        if not self._on_loop or waiting.loop is None:
            return
        with suppress(RuntimeError):
            if asyncio.get_running_loop() is waiting.loop:
                raise ConfigurationError(
                    f"A blocking call needs the token for {self._settings.url} on the event loop "
                    "that runs the login, and would wait for itself. Use an async client or "
                    "token_async(), or call it through asyncio.to_thread()."
                )

    @contextmanager
    def _joined(
        self, need: Need, need_key: object, loop: asyncio.AbstractEventLoop | None
    ) -> Iterator[_Waiting]:
        """Join the work for a need; start it if it does not run.

        It is cancelled if all callers are interrupted, but not if they time out: the user may be
        about to finish the login.
        """
        self.reject_own_login()
        waiting = self._join(need, need_key, loop)
        interrupted = False
        try:
            yield waiting
        except BaseException as error:
            interrupted = not isinstance(error, Exception)
            raise
        finally:
            with _guard:
                waiting.cancel.callers -= 1
                if waiting.cancel.callers == 0 and interrupted:
                    waiting.cancel.set()

    def _join(
        self, need: Need, need_key: object, loop: asyncio.AbstractEventLoop | None
    ) -> _Waiting:
        # A caller without an event loop cannot start an asynchronous login, but wait for one.
        blocked = self._on_loop and loop is None
        with _guard:
            waiting = self._flight_for((need_key, False))
            if waiting is None and blocked:
                waiting = self._flight_for((need_key, True))
            if waiting is not None:
                waiting.cancel.callers += 1
                return waiting
            for old in [name for name, each in self._waiting.items() if each.flight.done()]:
                del self._waiting[old]
            # A new key, because a cancelled flight of the same need may not have ended yet.
            key, cancel = object(), _Cancel()
            flight = single_flight.join(key, partial(self._acquire, need, loop, cancel))
            waiting = self._waiting[need_key, blocked] = _Waiting(key, need, flight, loop, cancel)
        return waiting

    def _flight_for(self, key: object) -> _Waiting | None:
        """Return the flight for a need that runs and was not cancelled."""
        waiting = self._waiting.get(key)
        if waiting is None or waiting.cancel.is_set():
            return None
        return waiting if single_flight.is_running(waiting.key) else None

    def _acquire(
        self, need: Need, loop: asyncio.AbstractEventLoop | None, cancel: threading.Event
    ) -> Token:
        """Get a token in a separate thread."""
        call, paused = None, self._paused(need)
        blocked = self._on_loop and loop is None
        if self._login is not None and paused is None and not blocked:
            call = LoginCall(self, self._login, self._settings.redirect, loop, cancel)
        if self._login is None and need.reason is Reason.LOG_IN:
            raise ConfigurationError(
                "login: is required to log in, such as "
                "login=grantway_grants.authorization_code.login.",
                errors={"login": ["is required to log in"]},
            )
        try:
            token = self._sessions.acquire(need, call, cancel)
        except LoginNeededError as error:
            if blocked and not isinstance(error, NeverLoggedInError):
                raise is_asynchronous() from error
            if paused is None:
                raise
            now = time.monotonic()
            raise LoginNeededError(
                f"There is no token for {self._settings.url}: the login {now - paused.at:.0f} s "
                f"ago failed. {_told(paused.error)} Another one starts in "
                f"{paused.until - now:.0f} s at the earliest; call log_in() to log in now."
            ) from paused.error
        except Exception as error:
            if call is not None and not call.interrupted_by(error):
                now, short = time.monotonic(), isinstance(error, TransportError)
                until = now + (_SHORT_PAUSE if short else _PAUSE)
                with _guard:
                    self._failures[requirements_of(need)] = _Failure(error, now, until)
            raise
        with _guard:
            self._failures.pop(requirements_of(need), None)
        return token

    def _paused(self, need: Need) -> _Failure | None:
        if need.reason is Reason.LOG_IN:
            return None
        with _guard:
            failure = self._failures.get(requirements_of(need))
        return failure if failure is not None and time.monotonic() < failure.until else None


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, GrantwayError) else type(error).__name__


def _deadline(timeout: float | None) -> Deadline:
    wait = check_wait(timeout)
    return Deadline(math.inf if wait is None else wait)
