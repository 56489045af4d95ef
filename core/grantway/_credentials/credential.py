"""A credential: one token that is refreshed before it expires and never lost."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import logging
import os
import random
import threading
import time
from collections.abc import Hashable
from concurrent.futures import CancelledError, Future
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, NoReturn, Self

from grantway._exceptions import (
    ConfigurationError,
    GrantwayError,
    LoginNeededError,
    ProviderPausedError,
    TokenError,
    TransportError,
    WaitTimeoutError,
)
from grantway._processes.fork import fork_safe_lock
from grantway._transport.deadline import Deadline
from grantway._types.quantity import check_wait
from grantway._types.token import Token

from . import single_flight
from .credential_config import CredentialConfig
from .refresh import FailureState, Refresh

logger = logging.getLogger("grantway")
_time, _monotonic = time.time, time.monotonic

#: Guards assignments that belong together. Never held while waiting.
_lock = fork_safe_lock()

#: Sentinel for a missing token; callers never get it.
_NOTHING = Token("")
_FOREVER = float("inf")
#: Longest wait that the operating system accepts, halved for safety.
_LONGEST_WAIT = threading.TIMEOUT_MAX / 2

#: Pause after the first failure, the longest pause (doubling in between), and the longest
#: ``Retry-After`` that is honoured, in seconds.
_FIRST_PAUSE, _LONGEST_PAUSE, _PATIENCE = 0.5, 60.0, 3600.0
#: Shortest time between two refreshes that return the same token, in seconds.
_SAME_AGAIN = 1.0


class _Seen(NamedTuple):
    """The state of a credential when a caller began to wait."""

    token: Token
    failures: int


class Credential:
    """One token, kept fresh. Made by ``Client.credential``; safe for threads and event loops.

    While the token is fresh, ``token()`` compares two clocks and takes no lock. In the advisory
    window (see ``Freshness``), one thread refreshes it while callers still get the current token.
    Later, all callers wait for the same request: those of this process directly, those of other
    processes and machines through the lock of the store that they share.
    """

    __slots__ = (
        "_config",
        "_end",
        "_end_monotonic",
        "_process",
        "_state",
        "_subject",
        "_token",
        "_until",
        "_until_monotonic",
        "used",
    )

    def __init__(self, config: CredentialConfig, subject: str = "") -> None:
        config.check_subject(subject)
        self._config = config
        self._subject = subject
        # Serve the token without further checks until ``until``, and never after ``end``. Both
        # use two clocks: the wall clock can be set back, which would revive an expired token,
        # and the monotonic clock stops while the machine sleeps.
        self._token = _NOTHING
        self._until = self._until_monotonic = self._end = self._end_monotonic = 0.0
        self._state: FailureState | None = None
        #: Id of the process that obtained the token.
        self._process = 0
        #: Whether a caller used it since the pool last checked.
        self.used = False

    # --- Copies -----------------------------------------------------------------------------------

    def __copy__(self) -> Self:
        """Return the credential itself: two copies would spend one refresh token twice."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return the credential itself, as ``copy.copy`` does."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the settings without the token, which the copy reads from the store.

        Raises:
            TypeError: the copy could not find the token, or a secret would leave this process.
        """
        return self._config.pickled(self, self._subject)

    # --- For callers ------------------------------------------------------------------------------

    @property
    def key(self) -> str:
        """Name of the token in the store."""
        return self._config.key(self._subject)

    @property
    def fresh(self) -> bool:
        """Whether ``token()`` returns at once, without starting a refresh."""
        return _monotonic() < self._until_monotonic and _time() < self._until

    @property
    def alive(self) -> bool:
        """Whether there is a token that has not expired and was not rejected."""
        return self._alive()

    @property
    def last_error(self) -> Exception | None:
        """Error of the last refresh, or None if it succeeded."""
        return None if self._state is None else self._state.error

    def token(self, timeout: float | None = None) -> Token:
        """Return a valid token.

        Args:
            timeout: Longest wait in seconds, or ``math.inf``; by default the client's timeout.
                Timing out does not cancel the refresh.

        Raises:
            LoginNeededError: A user has to log in.
            WaitTimeoutError: The refresh did not finish in time.
            ProviderPausedError: The provider failed a moment ago, and the pause before the next
                request is longer than ``timeout``.
            StoreError: The store could not be read, locked or written; no token is lost.
            TokenError: The provider rejected the request.
            TransportError: The provider gave no usable response.
        """
        if _monotonic() < self._until_monotonic and _time() < self._until:
            return self._token
        deadline = self._deadline(timeout)
        while True:
            step, seen = self._step(deadline)
            if isinstance(step, Token):
                return step
            if isinstance(step, Future):
                self._check_not_mine(step)
                try:
                    step.exception(_left(deadline))
                except CancelledError:
                    continue
                except TimeoutError:
                    self._raise_timeout(deadline)
                token = self._result_of(step, seen)
                if token is not None:
                    return token
            else:
                deadline.wait(step)

    async def token_async(self, timeout: float | None = None) -> Token:  # noqa: ASYNC109 - as token()
        """Return a valid token without blocking the event loop; see ``token()``.

        Args:
            timeout: As for ``token()``.
        """
        if _monotonic() < self._until_monotonic and _time() < self._until:
            return self._token
        deadline = self._deadline(timeout)
        while True:
            # A step may start a thread, but never touches the network or the store.
            step, seen = self._step(deadline)
            if isinstance(step, Token):
                return step
            if isinstance(step, Future):
                if not await _ends_within(step, _left(deadline)):
                    self._raise_timeout(deadline)
                token = self._result_of(step, seen)
                if token is not None:
                    return token
            else:
                await asyncio.sleep(step)

    def invalidate(self, token: Token) -> None:
        """Report that a resource server rejected a token, such as by a 401.

        The next call of ``token()`` refreshes. Many reports about one token cause one refresh;
        a report about a token that was replaced already causes none.

        Args:
            token: The rejected token.
        """
        with _lock:
            if token.access_token == self._token.access_token:
                self._failure_state().rejected = token.access_token
                self._until = 0.0

    def accept(self, token: Token) -> None:
        """Store and use a token from elsewhere, such as from a login.

        Args:
            token: The token. If it has ``expires_in`` but no ``expires_at``, its lifetime starts
                now.

        Raises:
            StoreError: The token could not be stored; it is not used then.
        """
        if token.expires_at is None and token.expires_in is not None:
            token = replace(token, expires_at=_time() + token.expires_in)
        store = self._config.store
        if store is not None:
            # Hold the lock, so that a running refresh does not overwrite this token.
            with store.lock(self.key, self._config.client.timeout) as fence:
                store.save(self.key, token, fence=fence)
        with _lock:
            if self._state is not None:
                # A login may return a token that was rejected before.
                self._state.rejected = self._state.refused = None
            self._use(token)

    def forget(self) -> None:
        """Remove the token from this credential and from the store, as at a logout.

        Raises:
            StoreError: The token could not be removed from the store.
        """
        store = self._config.store
        if store is not None:
            with store.lock(self.key, self._config.client.timeout) as fence:
                store.delete(self.key, fence=fence)
        with _lock:
            state = self._failure_state()
            state.rejected, state.refused = self._token.access_token, self._token.refresh_token
            state.refusal = state.unsaved = None
            state.spent = True
            # Use a new sentinel so that a running refresh is discarded (compared by identity).
            self._token = Token("")
            self._until = self._end = 0.0

    def holds_the_only_copy(self) -> bool:
        """Return whether dropping this credential would lose a token that its store rejected."""
        state = self._state
        return state is not None and state.unsaved is not None

    def under_way(self) -> bool:
        """Return whether a refresh is running."""
        return single_flight.under_way(self._key_of_flight)

    def __repr__(self) -> str:
        return f"Credential({self._config.grant_type!r}, {self._config.client!r})"

    # --- Steps of a call ------------------------------------------------------------------

    def _step(self, deadline: Deadline) -> tuple[Token | float | Future[Token], _Seen]:
        """Return a token, or a running refresh, or the seconds to wait before the next step."""
        with _lock:
            seen = self._seen()
            if self.fresh:  # refreshed since the caller checked
                return seen.token, seen
            paused_until = 0.0 if self._state is None else self._state.paused_until
            pause = paused_until - _monotonic()
            alive = self._alive()
            if alive:
                # Before the refresh starts: it sets new times when it ends.
                self._serve_for(pause if pause > 0 else _FOREVER)
        if pause > 0:
            if alive:
                return seen.token, seen
            if pause > deadline.remaining():
                if self._config.store is not None:
                    # Another machine may have stored a token meanwhile; the next call returns it.
                    single_flight.join(
                        ("look", self._key_of_flight), partial(self._check_store, seen.token)
                    )
                self._raise_paused(pause)
            return pause, seen
        work = single_flight.join(self._key_of_flight, partial(self._refresh, seen.token))
        if alive:
            work.add_done_callback(partial(self._apply, seen))
            return seen.token, seen
        return work, seen

    @property
    def _key_of_flight(self) -> Hashable:
        """Key of the single flight: credentials with the same store and key share one refresh."""
        store = self._config.store
        return id(self) if store is None else (id(store), self.key)

    def _result_of(self, work: Future[Token], seen: _Seen) -> Token | None:
        """Return the token of a finished refresh, or None to try again.

        Raises:
            Exception: A copy of the refresh's error; raising changes an exception's traceback, so
                each waiting caller gets a copy.
        """
        self._apply(seen, work)
        if work.cancelled():
            return None
        error = work.exception()
        if error is not None:
            raise _copy_of(error)
        token = work.result()
        # The refresh may belong to another credential, to which the token was not reported.
        return None if self._rejected(token) else token

    def _apply(self, seen: _Seen, work: Future[Token]) -> None:
        """Apply the result of a refresh that another credential of the same token may have run.

        A late result changes nothing: it does not replace a newer token, and a failure counts once.
        """
        if work.cancelled():
            self._until = 0.0
            return
        error = work.exception()
        if isinstance(error, Exception):
            self._record_failure(error, seen)
        elif error is None:
            token = work.result()
            with _lock:
                if self._token is seen.token and not self._rejected(token):
                    self._use(token)

    def _check_not_mine(self, work: Future[Token]) -> None:
        if single_flight.is_mine(work):
            raise ConfigurationError(
                "on_token called token() of the credential that called on_token, which would wait "
                "for itself; use the token that on_token gets as its argument."
            )

    def _deadline(self, timeout: float | None) -> Deadline:
        wait = check_wait(timeout)
        return Deadline(self._config.client.timeout if wait is None else wait)

    def _raise_timeout(self, deadline: Deadline) -> NoReturn:
        raise WaitTimeoutError(
            f"No token within {deadline.seconds:g} s; the request to "
            f"{self._config.client.provider.host} continues. Try again, or use a longer timeout."
        )

    def _raise_paused(self, pause: float) -> NoReturn:
        error = self.last_error
        code = error.code if isinstance(error, GrantwayError) else "unknown"
        raise ProviderPausedError(
            f"No request was sent to {self._config.client.provider.host}: the last one failed "
            f"({code}). The next one is allowed in {pause:.1f} s.",
            retry_after=pause,
            evidence=error.evidence if isinstance(error, GrantwayError) else None,
        ) from (None if error is None else _copy_of(error))

    # --- Freshness --------------------------------------------------------------------------------

    def _alive(self) -> bool:
        """Return whether there is a token that has not expired and was not rejected."""
        return (
            _monotonic() < self._end_monotonic
            and _time() < self._end
            and not self._rejected(self._token)
        )

    def _rejected(self, token: Token) -> bool:
        return self._state is not None and self._state.rejected == token.access_token

    def _serve_for(self, seconds: float) -> None:
        """Serve the token without further checks for some seconds, at most until it expires."""
        with _lock:
            if self._rejected(self._token):
                return
            self._until_monotonic = min(self._end_monotonic, _monotonic() + seconds)
            self._until = min(self._end, _time() + seconds)

    def _use(self, token: Token) -> Token:
        """Use a token from now on, and return it."""
        position = random.random()  # noqa: S311 - it spreads refreshes and protects nothing
        advisory, mandatory = self._config.freshness.time_left(token, position)
        with _lock:
            state = self._state
            now, monotonic = _time(), _monotonic()
            # Set the token first: a reader of the old times may get it, but never the reverse.
            self._token = token
            self._process = os.getpid()
            self._end, self._end_monotonic = now + mandatory, monotonic + mandatory
            self._until, self._until_monotonic = now + advisory, monotonic + advisory
            if state is not None:
                state.failures, state.paused_until = 0, 0.0
                state.error = state.refusal = state.unsaved = None
                if state.rejected == token.access_token:
                    state.rejected = None  # the provider issued it again and has no other
                if state.rejected is None and state.refused is None:
                    self._state = None
        return token

    # --- The refresh, one thread at a time --------------------------------------------------------

    def _refresh(self, before: Token) -> Token:
        """Replace a token that has expired or will soon."""
        with _lock:
            seen = self._seen()
            if seen.token is not before and self._alive():
                return seen.token  # another refresh finished while this one was starting
            state = self._failure_state()
        held = seen.token if seen.token.access_token else None
        if held is not None and held.refresh_token and self._config.store is None:
            self._warn_after_fork()
        try:
            token = Refresh(self._config, self.key, held, state).run()
        except Exception as error:
            self._record_failure(error, seen)
            raise
        with _lock:
            if self._token is seen.token:  # no login or logout happened meanwhile
                self._use(token)
                if token.access_token == seen.token.access_token and not self.fresh:
                    # The provider returns the same token until it expires; do not ask all the time.
                    half = (self._end_monotonic - _monotonic()) / 2
                    self._serve_for(max(_SAME_AGAIN, half))
        return token

    def _warn_after_fork(self) -> None:
        """Log that a refresh token is used in another process than the one that obtained it."""
        if self._process != os.getpid():
            logger.warning(
                "the refresh token for %s was obtained before this process was forked and is used "
                "here now; if another process uses it too, many providers revoke the login. Give "
                "the credential a store that the processes share, such as FileStore",
                self._config.client.provider.host,
            )

    def _check_store(self, seen: Token) -> Token:
        """Use a token that another process has stored; send nothing to the provider."""
        state = self._state or FailureState()
        found = Refresh(self._config, self.key, seen, state).stored()
        if found is None or state.unsaved is not None:
            return seen
        with _lock:
            return self._use(found) if self._token is seen else self._token

    def _record_failure(self, error: Exception, seen: _Seen) -> None:
        """Record a failure, and pause requests to the provider."""
        with _lock:
            state = self._failure_state()
            if self._token is not seen.token or state.failures != seen.failures:
                return
            state.error = error
            state.failures += 1
            most = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(state.failures - 1, 16))
            pause = most * random.uniform(0.5, 1.0)  # noqa: S311 - it protects nothing
            if isinstance(error, (TokenError, TransportError, ProviderPausedError)):
                pause = max(pause, min(getattr(error, "retry_after", None) or 0.0, _PATIENCE))
                state.paused_until = _monotonic() + pause
            alive = self._alive()
            if alive:
                # Only a login fixes this, so do not try again before the token expires.
                self._serve_for(_FOREVER if isinstance(error, LoginNeededError) else pause)
        if alive:
            logger.warning(
                "refresh failed (%s); callers get the current token of %s for another %.0f s",
                getattr(error, "code", type(error).__name__),
                self._config.client.provider.host,
                self._end_monotonic - _monotonic(),
            )

    def _seen(self) -> _Seen:
        return _Seen(self._token, 0 if self._state is None else self._state.failures)

    def _failure_state(self) -> FailureState:
        """Return the failure state, and create it if needed. Call with the lock held."""
        if self._state is None:
            self._state = FailureState()
        return self._state


async def _ends_within(work: Future[Token], seconds: float) -> bool:
    """Wait for work and return whether it ended in time. Timing out does not cancel it."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    def wake(_work: Future[Token]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(ended.set)

    work.add_done_callback(wake)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(ended.wait(), seconds)
    return work.done()


def _left(deadline: Deadline) -> float:
    return max(0.0, min(deadline.remaining(), _LONGEST_WAIT))


def _copy_of(error: BaseException) -> BaseException:
    """Return a copy to raise: threads that raise one object share its traceback."""
    try:
        copied = copy.copy(error)
    except Exception:  # noqa: BLE001 - an error of the program may not be copyable
        return error
    if type(copied) is not type(error):
        return error
    copied.__cause__, copied.__context__ = error.__cause__, error.__context__
    copied.__suppress_context__ = error.__suppress_context__
    return copied.with_traceback(error.__traceback__)
