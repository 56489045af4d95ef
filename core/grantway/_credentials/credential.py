"""The promise of a valid token: held, renewed before its end, and never lost on the way."""

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

from . import single_flight as flight
from .credential_config import CredentialConfig
from .refresh import FailureState, Renewal

logger = logging.getLogger("grantway")
_time, _monotonic = time.time, time.monotonic

#: Guards the few assignments that belong together. Never held over anything that waits.
_lock = fork_safe_lock()

#: Stands where no token has come yet; a caller never sees it.
_NOTHING = Token("")
_FOREVER = float("inf")
#: The system takes no number much larger.
_LONGEST_WAIT = threading.TIMEOUT_MAX / 2

#: Seconds that a provider is left alone after a failure, doubled with each; and at most, also
#: where its ``Retry-After`` asks for more.
_FIRST_PAUSE, _LONGEST_PAUSE, _PATIENCE = 0.5, 60.0, 3600.0
#: Seconds at least between two renewals that bring one and the same token.
_SAME_AGAIN = 1.0


class _Seen(NamedTuple):
    """What a credential was like when somebody began to wait."""

    token: Token
    failures: int


class Credential:
    """One token, kept fresh. Made by ``Client.credential``; safe for threads and event loops.

    While the token is fresh, ``token()`` compares two clocks and takes no lock. In its advisory
    window (see ``Freshness``) one thread fetches the next while all callers keep the live one; past
    it, callers wait for one and the same request: in this process, and through the store's lock
    in every process and on every machine that shares the store.
    """

    __slots__ = (
        "_end",
        "_end_monotonic",
        "_process",
        "_recipe",
        "_subject",
        "_token",
        "_trouble",
        "_until",
        "_until_monotonic",
        "used",
    )

    def __init__(self, recipe: CredentialConfig, subject: str = "") -> None:
        recipe.check_subject(subject)
        self._recipe = recipe
        self._subject = subject
        # The token goes out without a thought until a clock passes ``until``, and not at all from
        # ``end`` on. Two clocks, because the one that can be set could make a dead token live,
        # and the other stands still while the machine sleeps.
        self._token = _NOTHING
        self._until = self._until_monotonic = self._end = self._end_monotonic = 0.0
        self._trouble: FailureState | None = None
        #: The process that obtained the token.
        self._process = 0
        #: Whether it was asked for since a pool last looked.
        self.used = False

    # --- Copies -----------------------------------------------------------------------------------

    def __copy__(self) -> Self:
        """Return the credential itself: two that held one refresh token would spend it twice."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return the credential itself, as ``copy.copy`` does."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle how to get the token, and never the token, which the copy finds in the store.

        Raises:
            TypeError: the copy could not find the token, or a secret would leave this process.
        """
        return self._recipe.pickled(self, self._subject)

    # --- For callers ------------------------------------------------------------------------------

    @property
    def key(self) -> str:
        """The token's name in the store."""
        return self._recipe.key(self._subject)

    @property
    def fresh(self) -> bool:
        """Whether ``token()`` returns at once and has nothing to do."""
        return _monotonic() < self._until_monotonic and _time() < self._until

    @property
    def alive(self) -> bool:
        """Whether there is a token that has not ended and was not rejected."""
        return self._alive()

    @property
    def last_error(self) -> Exception | None:
        """Why no new token came the last time, or None since one came."""
        return None if self._trouble is None else self._trouble.error

    def token(self, timeout: float | None = None) -> Token:
        """A valid token.

        Args:
            timeout: Seconds to wait at most, when there is something to wait for, or ``math.inf``;
                by default the client's. Timing out does not cancel the request.

        Raises:
            LoginNeededError: none can be had without a person.
            WaitTimeoutError: none came in time.
            ProviderPausedError: the provider failed a moment ago, and is to be left alone for
                longer than the caller would wait.
            StoreError: the store could not be read, locked or written; no token is lost.
            TokenError: the provider said no.
            TransportError: the provider gave no usable answer.
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
                    self._give_up(deadline)
                token = self._landed(step, seen)
                if token is not None:
                    return token
            else:
                deadline.wait(step)

    async def token_async(self, timeout: float | None = None) -> Token:  # noqa: ASYNC109 - as token()
        """As ``token()``, for event loops: a fresh token comes at once, and no wait blocks.

        Args:
            timeout: As for ``token()``.
        """
        if _monotonic() < self._until_monotonic and _time() < self._until:
            return self._token
        deadline = self._deadline(timeout)
        while True:
            # Starting the work may mean a thread, and never the network or the store.
            step, seen = self._step(deadline)
            if isinstance(step, Token):
                return step
            if isinstance(step, Future):
                if not await _lands(step, _left(deadline)):
                    self._give_up(deadline)
                token = self._landed(step, seen)
                if token is not None:
                    return token
            else:
                await asyncio.sleep(step)

    def invalidate(self, token: Token) -> None:
        """Say that a token did not work where it was used, as after a 401: it is not used again.

        The next call of ``token()`` fetches another. When many say it of one token, or of one
        that was replaced already, that is one fetch or none.

        Args:
            token: The one that did not work.
        """
        with _lock:
            if token.access_token == self._token.access_token:
                self._note().rejected = token.access_token
                self._until = 0.0

    def accept(self, token: Token) -> None:
        """Take a token that came another way, as by a login, and store it.

        Args:
            token: The token. One that says how long it lives and not when it ends lives from now.

        Raises:
            StoreError: it could not be stored. It is in use nowhere then.
        """
        if token.expires_at is None and token.expires_in is not None:
            token = replace(token, expires_at=_time() + token.expires_in)
        store = self._recipe.store
        if store is not None:
            # With the lock, lest a refresh under way save its token over this one.
            with store.lock(self.key, self._recipe.client.timeout) as fence:
                store.save(self.key, token, fence=fence)
        with _lock:
            if self._trouble is not None:
                # A login may bring back what was refused before.
                self._trouble.rejected = self._trouble.refused = None
            self._settle(token)

    def forget(self) -> None:
        """Remove the token, here and from the store, as at a logout.

        Raises:
            StoreError: it could not be removed from the store.
        """
        store = self._recipe.store
        if store is not None:
            with store.lock(self.key, self._recipe.client.timeout) as fence:
                store.delete(self.key, fence=fence)
        with _lock:
            trouble = self._note()
            trouble.rejected, trouble.refused = self._token.access_token, self._token.refresh_token
            trouble.refusal = trouble.unsaved = None
            trouble.spent = True
            # Another nothing than before, so that a renewal under way brings nobody its token.
            self._token = Token("")
            self._until = self._end = 0.0

    def holds_the_only_copy(self) -> bool:
        """Whether a token would be lost with this credential, as its store did not take it."""
        trouble = self._trouble
        return trouble is not None and trouble.unsaved is not None

    def under_way(self) -> bool:
        """Whether a token is being fetched, which goes on without who waits for it."""
        return flight.under_way(self._flight)

    def __repr__(self) -> str:
        return f"Credential({self._recipe.grant_type!r}, {self._recipe.client!r})"

    # --- What a caller does next ------------------------------------------------------------------

    def _step(self, deadline: Deadline) -> tuple[Token | float | Future[Token], _Seen]:
        """A token; or work under way; or the seconds to wait before the next step."""
        with _lock:
            seen = self._seen()
            if self.fresh:  # it came since the caller looked
                return seen.token, seen
            paused_until = 0.0 if self._trouble is None else self._trouble.paused_until
            pause = paused_until - _monotonic()
            alive = self._alive()
            if alive:
                # Before the work begins, which sets its own marks when it ends.
                self._mark(pause if pause > 0 else _FOREVER)
        if pause > 0:
            if alive:
                return seen.token, seen
            if pause > deadline.remaining():
                if self._recipe.store is not None:
                    # Another machine may have stored a token meanwhile; the next call has it then.
                    flight.join(("look", self._flight), partial(self._look, seen.token))
                self._refuse(pause)
            return pause, seen
        work = flight.join(self._flight, partial(self._renew, seen.token))
        if alive:
            work.add_done_callback(partial(self._learn, seen))
            return seen.token, seen
        return work, seen

    @property
    def _flight(self) -> Hashable:
        """By the store and its key: other credentials of the same token wait for the same work."""
        store = self._recipe.store
        return id(self) if store is None else (id(store), self.key)

    def _landed(self, work: Future[Token], seen: _Seen) -> Token | None:
        """The token that the work brought, or None where it is to be tried again.

        Raises:
            Exception: the work's error: a copy for each who waited, as raising writes into it.
        """
        self._learn(seen, work)
        if work.cancelled():
            return None
        error = work.exception()
        if error is not None:
            raise _twin(error)
        token = work.result()
        # Another credential, whose work it was, does not know what was said to this one.
        return None if self._rejected(token) else token

    def _learn(self, seen: _Seen, work: Future[Token]) -> None:
        """Take up how work ended that may have been another credential's of the same token.

        Whoever comes late with it changes nothing: a token that came since is not replaced by the
        one before, and a failure counts once.
        """
        if work.cancelled():
            self._until = 0.0
            return
        error = work.exception()
        if isinstance(error, Exception):
            self._stumble(error, seen)
        elif error is None:
            token = work.result()
            with _lock:
                if self._token is seen.token and not self._rejected(token):
                    self._settle(token)

    def _check_not_mine(self, work: Future[Token]) -> None:
        if flight.is_mine(work):
            raise ConfigurationError(
                "on_token asks for the token that it is called with, and would wait for itself; "
                "use the one that it is given."
            )

    def _deadline(self, timeout: float | None) -> Deadline:
        wait = check_wait(timeout)
        return Deadline(self._recipe.client.timeout if wait is None else wait)

    def _give_up(self, deadline: Deadline) -> NoReturn:
        raise WaitTimeoutError(
            f"No token within {deadline.seconds:g} s; the request to "
            f"{self._recipe.client.provider.host} goes on. Ask again, or wait longer."
        )

    def _refuse(self, pause: float) -> NoReturn:
        error = self.last_error
        code = error.code if isinstance(error, GrantwayError) else "unknown"
        raise ProviderPausedError(
            f"{self._recipe.client.provider.host} was not asked: it failed a moment ago ({code}), "
            f"and is left alone for another {pause:.1f} s.",
            retry_after=pause,
            evidence=error.evidence if isinstance(error, GrantwayError) else None,
        ) from (None if error is None else _twin(error))

    # --- How fresh --------------------------------------------------------------------------------

    def _alive(self) -> bool:
        """Whether the token may go out: there is one, it has not ended, nobody rejected it."""
        return (
            _monotonic() < self._end_monotonic
            and _time() < self._end
            and not self._rejected(self._token)
        )

    def _rejected(self, token: Token) -> bool:
        return self._trouble is not None and self._trouble.rejected == token.access_token

    def _mark(self, seconds: float) -> None:
        """Let the token go out without a thought for so many seconds, or to its end."""
        with _lock:
            if self._rejected(self._token):
                return
            self._until_monotonic = min(self._end_monotonic, _monotonic() + seconds)
            self._until = min(self._end, _time() + seconds)

    def _settle(self, token: Token) -> Token:
        """Put a token to use."""
        luck = random.random()  # noqa: S311 - it spreads renewals and protects nothing
        advisory, mandatory = self._recipe.freshness.lives(token, luck)
        with _lock:
            trouble = self._trouble
            now, monotonic = _time(), _monotonic()
            # The token first: who still reads the old marks may take it, and never the reverse.
            self._token = token
            self._process = os.getpid()
            self._end, self._end_monotonic = now + mandatory, monotonic + mandatory
            self._until, self._until_monotonic = now + advisory, monotonic + advisory
            if trouble is not None:
                trouble.failures, trouble.paused_until = 0, 0.0
                trouble.error = trouble.refusal = trouble.unsaved = None
                if trouble.rejected == token.access_token:
                    trouble.rejected = None  # the provider gave it again, and has no other
                if trouble.rejected is None and trouble.refused is None:
                    self._trouble = None
        return token

    # --- The work, one thread at a time -----------------------------------------------------------

    def _renew(self, before: Token) -> Token:
        """Bring a token in place of the one before, which ends soon, or has."""
        with _lock:
            seen = self._seen()
            if seen.token is not before and self._alive():
                return seen.token  # it came while this work was being started
            trouble = self._note()
        held = seen.token if seen.token.access_token else None
        if held is not None and held.refresh_token and self._recipe.store is None:
            self._warn_after_fork()
        try:
            token = Renewal(self._recipe, self.key, held, trouble).run()
        except Exception as error:
            self._stumble(error, seen)
            raise
        with _lock:
            if self._token is seen.token:  # and nobody logged in or out meanwhile
                self._settle(token)
                if token.access_token == seen.token.access_token and not self.fresh:
                    # The provider gives the same until it ends; asking all the time is no use.
                    half = (self._end_monotonic - _monotonic()) / 2
                    self._mark(max(_SAME_AGAIN, half))
        return token

    def _warn_after_fork(self) -> None:
        """Log that a refresh token is used in another process than the one that obtained it."""
        if self._process != os.getpid():
            logger.warning(
                "the refresh token for %s was obtained before this process was forked, and is now "
                "used here; if another process uses it too, many providers end the login. Give the "
                "credential a store that the processes share, such as FileStore",
                self._recipe.client.provider.host,
            )

    def _look(self, seen: Token) -> Token:
        """Take up what another process has stored; the provider is not asked."""
        trouble = self._trouble or FailureState()
        found = Renewal(self._recipe, self.key, seen, trouble).stored()
        if found is None or trouble.unsaved is not None:
            return seen
        with _lock:
            return self._settle(found) if self._token is seen else self._token

    def _stumble(self, error: Exception, seen: _Seen) -> None:
        """Remember a failure, and leave the provider alone for a while."""
        with _lock:
            trouble = self._note()
            if self._token is not seen.token or trouble.failures != seen.failures:
                return
            trouble.error = error
            trouble.failures += 1
            most = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(trouble.failures - 1, 16))
            pause = most * random.uniform(0.5, 1.0)  # noqa: S311 - it protects nothing
            if isinstance(error, (TokenError, TransportError, ProviderPausedError)):
                pause = max(pause, min(getattr(error, "retry_after", None) or 0.0, _PATIENCE))
                trouble.paused_until = _monotonic() + pause
            alive = self._alive()
            if alive:
                # What only a person can fix is not tried again while the token lives.
                self._mark(_FOREVER if isinstance(error, LoginNeededError) else pause)
        if alive:
            logger.warning(
                "renewal failed (%s); the live token of %s goes out for another %.0f s",
                getattr(error, "code", type(error).__name__),
                self._recipe.client.provider.host,
                self._end_monotonic - _monotonic(),
            )

    def _seen(self) -> _Seen:
        return _Seen(self._token, 0 if self._trouble is None else self._trouble.failures)

    def _note(self) -> FailureState:
        """Where troubles are noted; called with the lock."""
        if self._trouble is None:
            self._trouble = FailureState()
        return self._trouble


async def _lands(work: Future[Token], seconds: float) -> bool:
    """Whether the work ends in so many seconds. Who stops waiting stops nothing."""
    loop, landed = asyncio.get_running_loop(), asyncio.Event()

    def wake(_work: Future[Token]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(landed.set)

    work.add_done_callback(wake)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(landed.wait(), seconds)
    return work.done()


def _left(deadline: Deadline) -> float:
    return max(0.0, min(deadline.remaining(), _LONGEST_WAIT))


def _twin(error: BaseException) -> BaseException:
    """A copy to raise: many threads that raise one object write into one traceback."""
    try:
        twin = copy.copy(error)
    except Exception:  # noqa: BLE001 - a program's own error may not let itself be copied
        return error
    if type(twin) is not type(error):
        return error
    twin.__cause__, twin.__context__ = error.__cause__, error.__context__
    twin.__suppress_context__ = error.__suppress_context__
    return twin.with_traceback(error.__traceback__)
