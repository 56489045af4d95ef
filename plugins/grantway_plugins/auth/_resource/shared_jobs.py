"""Jobs that get a token in a separate thread, each for all callers with the same need."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import NamedTuple

from grantway._credentials import single_flight
from grantway._credentials.single_flight import Flight
from grantway._exceptions import (
    ConfigurationError,
    LoginNeededError,
    WaitTimeoutError,
)
from grantway._processes.copies import OneProcess
from grantway._processes.fork import fork_safe_lock
from grantway._transport.deadline import Deadline
from grantway._types.callables import is_async
from grantway._types.quantity import check_wait
from grantway._types.token import Token

from .acquisition import NeverLoggedInError, acquire_token
from .login_call import RUNNING_LOGINS, Login, LoginCall, LoginInterruptedError, asynchronous_login
from .login_failures import LoginFailures
from .need import Need, Reason
from .sessions import Sessions
from .settings import ResourceSettings

#: Seconds between checks whether the program ends.
_CHECK_INTERVAL = 1.0

_guard = fork_safe_lock()


class _Cancellation(threading.Event):
    """Set if nothing waits for a job, and all callers were interrupted or the program ends.

    Attributes:
        callers: Number of callers that wait.
    """

    def __init__(self) -> None:
        super().__init__()
        self.callers = 1

    def is_set(self) -> bool:
        """Return whether it is set; a job without callers must not delay the program's end."""
        return super().is_set() or not (self.callers or threading.main_thread().is_alive())

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, and return whether it is."""
        deadline = Deadline(math.inf if timeout is None else timeout)
        while not self.is_set() and (left := deadline.remaining()) > 0:
            super().wait(min(left, _CHECK_INTERVAL))
        return self.is_set()


class _Job(NamedTuple):
    """A thread that gets a token.

    Attributes:
        key: Key of the flight.
        need: Why the first caller needs the token.
        flight: The result.
        loop: The event loop for the login, or None.
        cancel: Ends the job.
    """

    key: object
    need: Need
    flight: Flight
    loop: asyncio.AbstractEventLoop | None
    cancel: _Cancellation

    def lost_its_loop(self, loop: asyncio.AbstractEventLoop | None) -> bool:
        """Return whether the login ended with its event loop, which is not that of the caller."""
        lost = not self.flight.cancelled() and self.flight.exception()
        return self.loop is not loop and isinstance(lost, LoginInterruptedError)

    def helps_only_others(self, need: Need, token: Token) -> bool:
        """Return whether the token of the flight is one that the resource rejected."""
        other = self.need.presented
        return other != need.presented and token.access_token in (*other, *need.presented)


class SharedJobs(OneProcess):
    """Finds the issuer and logs in, once for all callers with the same need.

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
        self._jobs: dict[object, _Job] = {}
        #: The failed logins of this object.
        self.failures = LoginFailures()

    @property
    def running(self) -> bool:
        """Whether the login calls this object itself."""
        return self in RUNNING_LOGINS.get()

    def wait(self, need: Need, timeout: float | None = None) -> Token:
        """Return a token that meets a need.

        Args:
            need: Why a token is needed.
            timeout: Longest wait in seconds; None for no limit.
        """
        deadline, key = _deadline(timeout), need.key
        while True:
            with self._joined(need, key, None) as job:
                self._reject_own_loop(job)
                if not single_flight.wait(job.flight, deadline):
                    raise self._timeout(deadline)
            if job.lost_its_loop(None):
                continue
            token = self._result(job.flight)
            if not job.helps_only_others(need, token):
                return token
            key = need.exact_key

    async def wait_async(self, need: Need, timeout: float | None = None) -> Token:  # noqa: ASYNC109 - as wait()
        """Do the same as ``wait`` without blocking the event loop."""
        deadline, loop, key = _deadline(timeout), asyncio.get_running_loop(), need.key
        while True:
            with self._joined(need, key, loop) as job:
                if not await job.flight.wait_async(deadline):
                    raise self._timeout(deadline)
            if job.lost_its_loop(loop):
                continue
            token = self._result(job.flight)
            if not job.helps_only_others(need, token):
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

    def _reject_own_loop(self, job: _Job) -> None:
        """Raise if a blocking call would stop the event loop that runs the login.

        Raises:
            ConfigurationError: It would.
        """
        if not self._on_loop or job.loop is None:
            return
        with suppress(RuntimeError):
            if asyncio.get_running_loop() is job.loop:
                raise ConfigurationError(
                    f"A blocking call needs the token for {self._settings.url} on the event loop "
                    "that runs the login, and would wait for itself. Use an async client or "
                    "token_async(), or call it through asyncio.to_thread()."
                )

    @contextmanager
    def _joined(
        self, need: Need, need_key: object, loop: asyncio.AbstractEventLoop | None
    ) -> Iterator[_Job]:
        """Join the work for a need; start it if it does not run.

        It is cancelled if all callers are interrupted, but not if they time out: the user may be
        about to finish the login.
        """
        self.reject_own_login()
        job = self._join(need, need_key, loop)
        interrupted = False
        try:
            yield job
        except BaseException as error:
            interrupted = not isinstance(error, Exception)
            raise
        finally:
            with _guard:
                job.cancel.callers -= 1
                if job.cancel.callers == 0 and interrupted:
                    job.cancel.set()

    def _join(self, need: Need, need_key: object, loop: asyncio.AbstractEventLoop | None) -> _Job:
        # A caller without an event loop cannot start an asynchronous login, but wait for one.
        blocked = self._on_loop and loop is None
        with _guard:
            job = self._running_job((need_key, False))
            if job is None and blocked:
                job = self._running_job((need_key, True))
            if job is not None:
                job.cancel.callers += 1
                return job
            for old in [name for name, each in self._jobs.items() if each.flight.done()]:
                del self._jobs[old]
            # A new key, because a cancelled flight of the same need may not have ended yet.
            key, cancel = object(), _Cancellation()
            flight = single_flight.join(key, partial(self._get_token, need, loop, cancel))
            job = self._jobs[need_key, blocked] = _Job(key, need, flight, loop, cancel)
        return job

    def _running_job(self, key: object) -> _Job | None:
        """Return the job for a need that runs and was not cancelled."""
        job = self._jobs.get(key)
        if job is None or job.cancel.is_set():
            return None
        return job if single_flight.is_running(job.key) else None

    def _get_token(
        self, need: Need, loop: asyncio.AbstractEventLoop | None, cancel: threading.Event
    ) -> Token:
        """Get a token in a separate thread."""
        call, failure = None, self.failures.recent(need)
        blocked = self._on_loop and loop is None
        if self._login is not None and failure is None and not blocked:
            call = LoginCall(self, self._login, self._settings.redirect, loop, cancel)
        if self._login is None and need.reason is Reason.LOG_IN:
            raise ConfigurationError(
                "login: is required to log in, such as "
                "login=grantway_grants.authorization_code.login.",
                errors={"login": ["is required to log in"]},
            )
        try:
            token = acquire_token(self._sessions, need, call, cancel)
        except LoginNeededError as error:
            if blocked and not isinstance(error, NeverLoggedInError):
                raise asynchronous_login() from error
            if failure is None:
                raise
            raise failure.login_needed(self._settings.url) from failure.error
        except Exception as error:
            if call is not None and not call.interrupted_by(error):
                self.failures.add(need, error)
            raise
        self.failures.discard(need)
        return token


def _deadline(timeout: float | None) -> Deadline:
    wait = check_wait(timeout)
    return Deadline(math.inf if wait is None else wait)
