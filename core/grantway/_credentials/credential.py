"""A credential: one token that is refreshed before it expires and never lost."""

from __future__ import annotations

import time
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, NoReturn, Self, cast

from grantway._exceptions import GrantwayError, ProviderPausedError, WaitTimeoutError
from grantway._transport.deadline import Deadline
from grantway._types.quantity import check_wait
from grantway._types.store import Store
from grantway._types.token import Token

from . import single_flight
from .credential_config import CredentialConfig
from .refresher import Refresher
from .single_flight import Flight
from .token_state import Snapshot, TokenState

_time, _monotonic = time.time, time.monotonic


#: Longest wait of a caller for the comparison of a token with the stored one, in seconds. If the
#: store does not respond, callers get the token.
_COMPARISON = 1.0


class _Comparison(NamedTuple):
    """The running comparison of a token with the stored one, and when to stop waiting for it."""

    flight: Flight
    deadline: Deadline

    @property
    def failed(self) -> bool:
        """Whether it ended without a result, for example because too much work runs."""
        return self.flight.cancelled() or self.flight.exception() is not None


class Credential:
    """One token, kept fresh. Created by ``Client.credential``; safe for threads and event loops.

    While the token is fresh, ``token()`` compares two clocks and takes no lock. In the advisory
    window (see ``Freshness``), it is refreshed once while callers still get the current token.
    Later, all callers wait for the same request: those of this process directly, those of other
    processes and machines through the lock of the store that they share.
    """

    __slots__ = ("_config", "_key", "_state", "_subject", "used")

    def __init__(self, config: CredentialConfig, subject: str = "") -> None:
        config.check_subject(subject)
        self._config = config
        self._subject = subject
        self._key = ""
        self._state = TokenState(config)
        #: Whether a caller used it since the pool last checked.
        self.used = False

    # --- Copies -----------------------------------------------------------------------------------

    def __copy__(self) -> Self:
        """Return the credential itself: two copies would use one refresh token twice."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return the credential itself, as ``copy.copy`` does."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the settings without the token, which the copy reads from the store.

        Raises:
            TypeError: The copy could not find the token, or a secret would leave this process.
        """
        return _unpickled, (*self._config.pickled(self), self._subject)

    # --- For callers ------------------------------------------------------------------------------

    @property
    def key(self) -> str:
        """Name of the token in the store."""
        if not self._key:
            self._key = self._config.key(self._subject)
        return self._key

    @property
    def client_auth(self) -> object:
        """The authentication of its client, which may bind the tokens to a key (RFC 9449)."""
        return self._config.source.auth

    @property
    def fresh(self) -> bool:
        """Whether ``token()`` returns at once, without starting a refresh."""
        return self._state.fresh

    def token_at_once(self) -> Token | None:
        """Return the token if ``token()`` returns it at once, without starting a refresh."""
        state = self._state
        if _monotonic() < state.until_monotonic and _time() < state.until:
            token = state.token
            if token.access_token:  # as in token()
                return token
        return None

    @property
    def fresh_for(self) -> float:
        """Seconds for which ``token()`` returns the current token at once; 0 if it is not fresh."""
        state = self._state
        return max(0.0, min(state.until_monotonic - _monotonic(), state.until - _time()))

    @property
    def refresh_in(self) -> float:
        """Seconds until the current token is refreshed; 0 if it must not be used.

        Unlike ``fresh_for``, it does not end when the token is compared with the stored one.
        """
        state = self._state
        if state.recheck is None:
            return self.fresh_for
        if not state.alive:
            return 0.0
        ends_in = min(state.end_monotonic - _monotonic(), state.end - _time())
        return max(0.0, min(state.recheck.refresh_left, ends_in))

    @property
    def paused_for(self) -> float:
        """Seconds until the next request to the provider after a failure; 0 if it is allowed now.

        Without a token that is alive, ``token()`` waits for them.
        """
        return max(0.0, self._state.pause)

    @property
    def alive(self) -> bool:
        """Whether there is a token that has not expired and was not rejected."""
        return self._state.alive

    @property
    def last_error(self) -> Exception | None:
        """Error of the last refresh, or None if it succeeded."""
        failure = self._state.failure
        return None if failure is None else failure.error

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
            ConfigurationError: The store has asynchronous methods only, or an event loop that the
                calling thread runs is refreshing the token.
            TokenError: The provider rejected the request.
            TransportError: The provider gave no usable response.
        """
        state = self._state
        if _monotonic() < state.until_monotonic and _time() < state.until:
            token = state.token
            if token.access_token:  # a logout may have removed it since the comparison
                return token
        self._config.require_blocking("token")
        deadline = self._deadline(timeout)
        while True:
            step, seen = self._step(deadline)
            if isinstance(step, Token):
                return step
            if not isinstance(step, Flight):
                self._wait(step, deadline)
                continue
            if deadline.remaining() > 0:
                single_flight.reject_own_loop(self._flight, "token")
            if not single_flight.wait(step, deadline):
                self._raise_timeout(step, deadline)
            found = self._apply(seen, step)
            if found is not None:
                return found
            single_flight.raise_copy(step)

    async def token_async(self, timeout: float | None = None) -> Token:  # noqa: ASYNC109 - as token()
        """Return a valid token without blocking the event loop; see ``token()``.

        A refresh runs on this event loop, in a separate task: cancelling the waiting tasks does
        not cancel it, and ``asyncio.run`` ends only after the new token is stored. The methods of a
        store that has no asynchronous ones (see ``AsyncStore``) run in threads. ``on_token`` is
        called on the event loop.

        Args:
            timeout: As for ``token()``.
        """
        state = self._state
        if _monotonic() < state.until_monotonic and _time() < state.until:
            token = state.token
            if token.access_token:  # a logout may have removed it since the comparison
                return token
        deadline = self._deadline(timeout)
        while True:
            step, seen = self._step(deadline, on_loop=True)
            if isinstance(step, Token):
                return step
            if not isinstance(step, Flight):
                await self._wait_async(step)
                continue
            if not await step.wait_async(deadline):
                self._raise_timeout(step, deadline)
            if state.fresh and (token := state.token).access_token:
                return token  # as at the start, and quicker than reading the result
            found = self._apply(seen, step)
            if found is not None:
                return found
            single_flight.raise_copy(step)

    async def refresh_async(self, timeout: float | None = None) -> Token:  # noqa: ASYNC109 - as token()
        """Get a new token with the refresh token, even if the current token is fresh.

        This keeps a refresh token valid that the provider would remove after a time without use.
        Callers of ``token()`` get the current token meanwhile, and also if the refresh fails. If
        another process stores a new token meanwhile, that one is returned and nothing is sent.

        Args:
            timeout: As for ``token()``.

        Raises:
            GrantwayError: As for ``token()``. No refresh token is lost.
        """
        deadline, state = self._deadline(timeout), self._state
        if self._config.store is not None:
            from .async_store import asynchronous  # noqa: PLC0415 - as in token_async()

            held = state.token
            stored = await asynchronous(self._config.store).load_async(self.key)
            if stored is not None and stored.access_token != held.access_token:
                # Otherwise the refresh would end as soon as it finds this token.
                state.adopt(stored, held)
        seen, pause = state.attempt()
        if pause > deadline.remaining():
            self._raise_paused(pause, seen, on_loop=True)
        if pause > 0:
            await self._wait_async(pause)
        flight = self._join(seen, on_loop=True)
        if not await flight.wait_async(deadline):
            self._raise_timeout(flight, deadline)
        found = self._apply(seen, flight)
        if found is None:
            single_flight.raise_copy(flight)
            return await self.token_async(max(0.0, deadline.remaining()))
        return found

    def invalidate(self, token: Token) -> None:
        """Report that a resource server rejected a token, for example with a 401 response.

        The next call of ``token()`` refreshes. Many reports about one token cause one refresh;
        a report about a token that was replaced already causes none.

        Args:
            token: The rejected token.
        """
        self._state.reject(token)

    def accept(self, token: Token) -> None:
        """Store and use a token from elsewhere, such as from a login.

        Args:
            token: The token. If it has ``expires_in`` but no ``expires_at``, its lifetime starts
                now.

        Raises:
            StoreError: The token could not be stored; it is not used then.
        """
        token, store = self._dated(token), self._blocking_store("accept")
        if store is not None:
            # Hold the lock, so that a running refresh does not overwrite this token.
            with store.lock(self.key, self._config.timeout) as fence:
                store.save(self.key, token, fence=fence)
        self._state.accept(token)

    async def accept_async(self, token: Token) -> None:
        """Do the same as ``accept`` without blocking the event loop."""
        token = self._dated(token)
        if self._config.store is not None:
            from .async_store import asynchronous  # noqa: PLC0415 - as in token_async()

            store = asynchronous(self._config.store)
            async with store.lock_async(self.key, self._config.timeout) as fence:
                await store.save_async(self.key, token, fence=fence)
        self._state.accept(token)

    def forget(self) -> None:
        """Remove the token from this credential and from the store, as at a logout.

        Raises:
            StoreError: The token could not be removed from the store.
        """
        store = self._blocking_store("forget")
        if store is not None:
            with store.lock(self.key, self._config.timeout) as fence:
                store.delete(self.key, fence=fence)
        self._state.forget()

    async def forget_async(self) -> None:
        """Do the same as ``forget`` without blocking the event loop."""
        if self._config.store is not None:
            from .async_store import asynchronous  # noqa: PLC0415 - as in token_async()

            store = asynchronous(self._config.store)
            async with store.lock_async(self.key, self._config.timeout) as fence:
                await store.delete_async(self.key, fence=fence)
        self._state.forget()

    def holds_the_only_copy(self) -> bool:
        """Return whether dropping this credential would lose a token that its store rejected."""
        failure = self._state.failure
        return failure is not None and failure.unsaved is not None

    def refreshing(self) -> bool:
        """Return whether a refresh is running."""
        return single_flight.is_running(self._flight)

    def __repr__(self) -> str:
        return f"Credential({self._config.grant_type!r}, {self._config.source!r})"

    # --- Steps of a call --------------------------------------------------------------------------

    def _step(
        self, deadline: Deadline, *, on_loop: bool = False
    ) -> tuple[Token | float | Flight | _Comparison, Snapshot]:
        """Return a token, or what to wait for, or the seconds to wait before the next step.

        Never touches the network or the store.

        Args:
            deadline: The caller's deadline.
            on_loop: Whether a refresh starts on the running event loop instead of in a thread.
        """
        seen, usable, refresh, pause, check = self._state.decide()
        if check:
            flight = self._join(seen, work="compare", on_loop=on_loop)
            if not usable:
                return _Comparison(flight, Deadline(_COMPARISON)), seen
        elif refresh:
            flight = self._join(seen, on_loop=on_loop)
            if not usable:
                return flight, seen
            flight.add_done_callback(partial(self._apply, seen))
        elif not usable:
            if pause > deadline.remaining():
                self._raise_paused(pause, seen, on_loop=on_loop)
            return pause, seen
        return seen.token, seen

    def _wait(self, step: float | _Comparison, deadline: Deadline) -> None:
        """Wait before the next step of a call."""
        if not isinstance(step, _Comparison):
            deadline.wait(step)
        elif not single_flight.wait(step.flight, step.deadline) or step.failed:
            self._state.postpone()

    async def _wait_async(self, step: float | _Comparison) -> None:
        """Do the same as ``_wait`` on the event loop."""
        if isinstance(step, _Comparison):
            if not await step.flight.wait_async(step.deadline) or step.failed:
                self._state.postpone()
            return
        import asyncio  # noqa: PLC0415 - programs without an event loop do not need it

        await asyncio.sleep(step)

    def _dated(self, token: Token) -> Token:
        if token.expires_at is None and token.expires_in is not None:
            return replace(token, expires_at=_time() + token.expires_in)
        return token

    def _blocking_store(self, call: str) -> Store | None:
        """Return the store for a method that blocks while it waits for the lock."""
        self._config.require_blocking(call)
        single_flight.reject_own_loop(self._flight, call)
        return cast("Store | None", self._config.store)

    def _join(self, seen: Snapshot, *, work: str = "refresh", on_loop: bool) -> Flight:
        """Join running work of this token, a method of ``Refresher``; start it if it does not run.

        Only the refresh has the plain key, which methods that block check for their own loop.
        """
        key = self._flight if work == "refresh" else (work, *self._flight)
        found = single_flight.find(key)
        if found is not None:
            return found
        refresher = Refresher(self._config, self.key, self._state, seen.token)
        if not on_loop:
            return single_flight.join(key, getattr(refresher, work))
        from .loop_flight import join_async  # noqa: PLC0415 - as in token_async()

        return join_async(key, getattr(refresher, f"{work}_async"), self._config.longest)

    @property
    def _flight(self) -> tuple[object, str]:
        """Key of the single flight: credentials with the same store and key share one refresh."""
        store = self._config.store
        return self if store is None else id(store), self.key

    def _apply(self, seen: Snapshot, flight: Future[Token]) -> Token | None:
        """Apply the result of a refresh that another credential of the same token may have run.

        A late result changes nothing: it does not replace a newer token, and a failure counts once.

        Returns:
            The token; None if there is none, or if it was reported to this credential as rejected.
        """
        if flight.cancelled():
            self._state.until = 0.0
            return None
        error = flight.exception()
        if error is None:
            return self._state.adopt(flight.result(), seen.token)
        if isinstance(error, Exception):
            self._state.fail(error, seen)
        return None

    def _deadline(self, timeout: float | None) -> Deadline:
        wait = check_wait(timeout)
        return Deadline(self._config.timeout if wait is None else wait)

    def _raise_timeout(self, flight: Flight, deadline: Deadline) -> NoReturn:
        problem = flight.problem or "continues"
        raise WaitTimeoutError(
            f"No token within {deadline.seconds:g} s; the request to "
            f"{self._config.source.provider.host} {problem}. Try again, or use a longer timeout."
        )

    def _raise_paused(self, pause: float, seen: Snapshot, *, on_loop: bool) -> NoReturn:
        if self._config.store is not None:
            # Another machine may have stored a token meanwhile; the next call returns it.
            self._join(seen, work="look", on_loop=on_loop)
        error = self.last_error
        code = error.code if isinstance(error, GrantwayError) else "unknown"
        raise ProviderPausedError(
            f"No request was sent to {self._config.source.provider.host}: the last one failed "
            f"({code}). The next one is allowed in {pause:.1f} s.",
            retry_after=pause,
            evidence=error.evidence if isinstance(error, GrantwayError) else None,
        ) from (None if error is None else single_flight.copy_of(error))


def _unpickled(config: partial[CredentialConfig], source: object, subject: str) -> Credential:
    return Credential(config(source), subject)
