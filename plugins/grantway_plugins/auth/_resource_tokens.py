"""The tokens of a resource, for threads and event loops: one search and one login at a time."""

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
    ConnectionFailedError,
    GrantwayError,
    InvalidClientException,
    LoginNeededError,
    ResponseInvalidError,
    TransportError,
    WaitTimeoutError,
)
from grantway._processes.copies import OneProcess
from grantway._processes.fork import fork_safe_lock
from grantway._transport.deadline import Deadline
from grantway._types.quantity import check_wait
from grantway._types.token import Token

from ._resource_login import UnsatisfiedError
from ._resource_need import RUNNING, Login, LoginCall, Need, wanted
from ._resource_sessions import NeverLoggedInError, Sessions
from ._resource_settings import ResourceSettings
from ._step_up import StepUpChallenge, StepUpRequiredError

#: Seconds after a failed login during which requests do not start another one.
_PAUSE, _SHORT_PAUSE = 60.0, 5.0
#: Seconds during which a scope that a login did not get is not requested again.
_UNSATISFIED = 300.0
#: Errors of a credential for which the issuer or the client may have to be found again.
_TO_FIND = (
    LoginNeededError,
    InvalidClientException,
    ConnectionFailedError,
    ResponseInvalidError,
)

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


class ResourceTokens(OneProcess):
    """Source of the tokens of a resource; also steps up.

    Args:
        settings: The program's settings.
        login: The program's login, or None.
    """

    stays = "it holds a session"

    def __init__(self, settings: ResourceSettings, login: Login | None) -> None:
        self._settings = settings
        self._login = login
        self.sessions = Sessions(settings)
        self._waiting: dict[object, _Waiting] = {}
        self._failures: MutableMapping[object, _Failure] = TTLCache(64, _PAUSE, time.monotonic)
        self._unsatisfied: MutableMapping[object, bool] = TTLCache(64, _UNSATISFIED, time.monotonic)

    # --- TokenSource ------------------------------------------------------------------------------

    def token(self, timeout: float | None = None) -> Token:
        """Return a valid token; log in if necessary."""
        session, need = self.sessions.session, Need()
        if session is not None:
            try:
                return session.credential.token(timeout)
            except _TO_FIND as error:
                need = self._need_after(error)
        return self._wait(need, timeout)

    async def token_async(self, timeout: float | None = None) -> Token:  # noqa: ASYNC109 - as token()
        """Return a valid token without blocking the event loop."""
        session, need = self.sessions.session, Need()
        if session is not None:
            try:
                return await session.credential.token_async(timeout)
            except _TO_FIND as error:
                need = self._need_after(error)
        return await self._wait_async(need, timeout)

    def invalidate(self, token: Token) -> None:
        """Mark a token as rejected by the resource."""
        self.sessions.reject(token)

    def _need_after(self, error: GrantwayError) -> Need:
        """Return what is needed after an error of the credential, or raise the error."""
        if isinstance(error, LoginNeededError):
            return Need()
        if isinstance(error, InvalidClientException):
            session = self.sessions.session
            if session is None or not session.registered:
                raise error
        return Need(failure=error)

    # --- Finder -----------------------------------------------------------------------------------

    def first(self) -> Token | None:
        """Return a token, or None if no user has logged in yet."""
        if self.sessions.session is None:
            try:
                return self._wait(Need(first=True), None)
            except NeverLoggedInError:
                return None
        return self.token()

    async def first_async(self) -> Token | None:
        """Do the same as ``first`` without blocking the event loop."""
        if self.sessions.session is None:
            try:
                return await self._wait_async(Need(first=True), None)
            except NeverLoggedInError:
                return None
        return await self.token_async()

    def challenged(self, challenges: str) -> None:
        """Record the challenge of a 401 response, which the next search uses."""
        self.sessions.finder.challenged(challenges)

    def reconsider(self, token: Token) -> Token | None:
        """Return a token of another issuer, if the resource names another one now."""
        found = self.token()  # another caller may have found the other issuer
        need = Need((token.access_token,), reconsider=True)
        if found.access_token == token.access_token:
            found = self._wait(need, None)
        return None if found.access_token == token.access_token else found

    async def reconsider_async(self, token: Token) -> Token | None:
        """Do the same as ``reconsider`` without blocking the event loop."""
        found = await self.token_async()
        need = Need((token.access_token,), reconsider=True)
        if found.access_token == token.access_token:
            found = await self._wait_async(need, None)
        return None if found.access_token == token.access_token else found

    # --- Step-up ----------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether the login sends the current request itself."""
        return self in RUNNING.get()

    def step_up(
        self, challenge: StepUpChallenge, presented: tuple[Token, ...]
    ) -> tuple[Token | None, bool]:
        """Return a token that meets a challenge, and whether it is that of a login."""
        with self._required(challenge):
            token = self._wait(self._need_for(challenge, presented), None)
        return token, self._is_of_login(token, challenge)

    async def step_up_async(
        self, challenge: StepUpChallenge, presented: tuple[Token, ...]
    ) -> tuple[Token | None, bool]:
        """Do the same as ``step_up`` without blocking the event loop."""
        with self._required(challenge):
            token = await self._wait_async(self._need_for(challenge, presented), None)
        return token, self._is_of_login(token, challenge)

    def failed(self, challenge: StepUpChallenge) -> None:
        """Record that the token of a login does not meet a challenge."""
        with _guard:
            self._unsatisfied[wanted(challenge)] = True

    def _is_of_login(self, token: Token, challenge: StepUpChallenge) -> bool:
        return self.sessions.last_login == (token.access_token, wanted(challenge))

    def _need_for(self, challenge: StepUpChallenge, presented: tuple[Token, ...]) -> Need:
        with _guard:
            known = wanted(challenge) in self._unsatisfied
        if known and self._login is not None:
            raise UnsatisfiedError("a login a moment ago did not meet this")
        return Need(
            tuple(each.access_token for each in presented),
            scope=challenge.scope,
            acr_values=challenge.acr_values,
            max_age=challenge.max_age,
            step_up=True,
        )

    @contextmanager
    def _required(self, challenge: StepUpChallenge) -> Iterator[None]:
        """Turn the error that only a login helps into one about the challenge."""
        try:
            yield
        except LoginNeededError as error:
            if self._login is None:
                remedy = "pass login=, or log in with client() and pass the token to accept()"
            elif isinstance(error, UnsatisfiedError):
                remedy = f"{error}; call log_in(scope=...) to try again"
            else:
                remedy = str(error).rstrip(".")
            raise StepUpRequiredError(
                f"{self._settings.url} requires {challenge} ({challenge.error}): {remedy}.",
                challenge=challenge,
            ) from error

    # --- Logging in -------------------------------------------------------------------------------

    def log_in(self, scope: tuple[str, ...]) -> Token:
        """Log in, even if there is a token."""
        self._forget_failures()
        return self._wait(Need(forced=True, scope=scope), None)

    async def log_in_async(self, scope: tuple[str, ...]) -> Token:
        """Do the same as ``log_in`` without blocking the event loop."""
        self._forget_failures()
        return await self._wait_async(Need(forced=True, scope=scope), None)

    def _forget_failures(self) -> None:
        with _guard:
            self._failures.clear()
            self._unsatisfied.clear()

    def _wait(self, need: Need, timeout: float | None) -> Token:
        deadline = _deadline(timeout)
        with self._joined(need, None) as flight:
            if not single_flight.wait(flight, deadline):
                raise self._timeout(deadline)
        return self._result(flight)

    async def _wait_async(self, need: Need, timeout: float | None) -> Token:  # noqa: ASYNC109
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
            token = self.sessions.acquire(need, call)
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
