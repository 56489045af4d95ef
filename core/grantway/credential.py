"""The promise of a valid token: held, renewed before its end, and never lost on the way."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import logging
import random
import threading
import time
from collections.abc import Hashable
from concurrent.futures import Future
from functools import partial
from typing import NoReturn

from . import flight
from .deadline import Deadline
from .exceptions import (
    GrantwayError,
    LoginNeededError,
    ProviderPausedError,
    TokenError,
    TransportError,
    WaitTimeoutError,
)
from .recipe import Recipe
from .renewal import Renewal, Trouble
from .token import Token

logger = logging.getLogger("grantway")
_time, _monotonic = time.time, time.monotonic

#: Guards the few assignments that belong together. Never held over anything that waits.
_lock = threading.RLock()

#: Stands where no token has come yet; a caller never sees it.
_NOTHING = Token("")
_FOREVER = float("inf")

#: Seconds that a provider is left alone after a failure, doubled with each; and at most, also
#: where its ``Retry-After`` asks for more.
_FIRST_PAUSE, _LONGEST_PAUSE, _PATIENCE = 0.5, 60.0, 3600.0


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
        "_recipe",
        "_subject",
        "_token",
        "_trouble",
        "_until",
        "_until_monotonic",
        "used",
    )

    def __init__(self, recipe: Recipe, subject: str = "") -> None:
        recipe.check_subject(subject)
        self._recipe = recipe
        self._subject = subject
        # The token goes out without a thought until a clock passes ``until``, and not at all from
        # ``end`` on. Two clocks, because the one that can be set could make a dead token live,
        # and the other stands still while the machine sleeps.
        self._token = _NOTHING
        self._until = self._until_monotonic = self._end = self._end_monotonic = 0.0
        self._trouble: Trouble | None = None
        #: Whether it was asked for since a pool last looked.
        self.used = False

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
    def last_error(self) -> Exception | None:
        """Why no new token came the last time, or None since one came."""
        return None if self._trouble is None else self._trouble.error

    def token(self, timeout: float | None = None) -> Token:
        """A valid token.

        Args:
            timeout: Seconds to wait at most, when there is something to wait for; by default the
                client's. The request that is waited for goes on without the caller.

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
            step = self._step(deadline)
            if isinstance(step, Token):
                return step
            if isinstance(step, Future):
                try:
                    step.exception(max(0.0, deadline.remaining()))
                except TimeoutError:
                    self._give_up(deadline)
                return self._landed(step)
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
            step = self._step(deadline)
            if isinstance(step, Token):
                return step
            if isinstance(step, Future):
                if not await _lands(step, max(0.0, deadline.remaining())):
                    self._give_up(deadline)
                return self._landed(step)
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
            token: The token.

        Raises:
            StoreError: it could not be stored. It is in use nowhere then.
        """
        store = self._recipe.store
        if store is not None:
            # With the lock, lest a refresh under way save its token over this one.
            with store.lock(self.key, self._recipe.client.timeout) as fence:
                store.save(self.key, token, fence=fence)
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
            trouble.spent, trouble.unsaved = True, None
            self._until = 0.0

    def holds_the_only_copy(self) -> bool:
        """Whether a token would be lost with this credential: one on its way, or not yet saved."""
        trouble = self._trouble
        return (trouble is not None and trouble.unsaved is not None) or flight.under_way(
            self._flight
        )

    def __repr__(self) -> str:
        return f"Credential({self._recipe.grant_type!r}, {self._recipe.client!r})"

    # --- What a caller does next ------------------------------------------------------------------

    def _step(self, deadline: Deadline) -> Token | float | Future[Token]:
        """A token; or work under way; or the seconds to wait before the next step."""
        token, trouble = self._token, self._trouble
        pause = 0.0 if trouble is None else trouble.paused_until - _monotonic()
        if self._alive():
            if pause <= 0:
                # Before the work begins, which sets its own marks when it ends.
                self._mark(_FOREVER)
                self._join(token)
            else:
                self._mark(pause)
            return token
        if pause > 0:
            if pause > deadline.remaining():
                self._refuse(pause)
            return pause
        return self._join(token)

    def _join(self, seen: Token) -> Future[Token]:
        return flight.join(self._flight, partial(self._renew, seen))

    @property
    def _flight(self) -> Hashable:
        """By the store and its key: other credentials of the same token wait for the same work."""
        store = self._recipe.store
        return id(self) if store is None else (id(store), self.key)

    def _landed(self, work: Future[Token]) -> Token:
        """The token that the work brought, or its error: a copy for each, as raising writes."""
        error = work.exception()
        if error is None:
            token = work.result()
            if token is not self._token:  # the work of another credential of this token
                self._settle(token)
            return token
        if not isinstance(error, GrantwayError):
            raise error
        if self._note().error is not error:  # the work of another credential of this token
            self._stumble(error)
        raise _twin(error)

    def _deadline(self, timeout: float | None) -> Deadline:
        return Deadline(self._recipe.client.timeout if timeout is None else timeout)

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
        ) from (_twin(error) if isinstance(error, GrantwayError) else None)

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
            self._end, self._end_monotonic = now + mandatory, monotonic + mandatory
            self._until, self._until_monotonic = now + advisory, monotonic + advisory
            if trouble is not None:
                trouble.failures, trouble.paused_until = 0, 0.0
                trouble.error = trouble.unsaved = None
                if trouble.rejected is None and trouble.refused is None:
                    self._trouble = None
        return token

    # --- The work, one thread at a time -----------------------------------------------------------

    def _renew(self, seen: Token) -> Token:
        """Bring a token in place of ``seen``, which ends soon, or has."""
        if self._token is not seen and self._alive():
            return self._token  # it came while this work was being started
        with _lock:
            trouble = self._note()
        held = None if seen is _NOTHING else seen
        try:
            return self._settle(Renewal(self._recipe, self.key, held, trouble).run())
        except Exception as error:
            self._stumble(error)
            raise

    def _stumble(self, error: Exception) -> None:
        """Remember a failure, and leave the provider alone for a while."""
        with _lock:
            trouble = self._note()
            trouble.error = error
            trouble.failures += 1
            most = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(trouble.failures - 1, 16))
            pause = most * random.uniform(0.5, 1.0)  # noqa: S311 - it protects nothing
            if isinstance(error, (TokenError, TransportError, ProviderPausedError)):
                pause = max(pause, min(getattr(error, "retry_after", None) or 0.0, _PATIENCE))
                trouble.paused_until = _monotonic() + pause
        if self._alive():
            # What only a person can mend is not tried again while the token lives.
            self._mark(_FOREVER if isinstance(error, LoginNeededError) else pause)
            logger.warning(
                "renewal failed (%s); the live token of %s goes out for another %.0f s",
                getattr(error, "code", type(error).__name__),
                self._recipe.client.provider.host,
                self._end_monotonic - _monotonic(),
            )

    def _note(self) -> Trouble:
        """Where troubles are noted; called with the lock."""
        if self._trouble is None:
            self._trouble = Trouble()
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


def _twin(error: GrantwayError) -> GrantwayError:
    """A copy to raise: many threads that raise one object write into one traceback."""
    twin = copy.copy(error).with_traceback(error.__traceback__)
    twin.__cause__ = error.__cause__
    return twin
