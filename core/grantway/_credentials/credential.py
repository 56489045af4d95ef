"""A credential: one token that is refreshed before it expires and never lost."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import Any, NoReturn, Self

from grantway._exceptions import GrantwayError, ProviderPausedError, WaitTimeoutError
from grantway._transport.deadline import Deadline
from grantway._types.quantity import check_wait
from grantway._types.token import Token

from . import single_flight
from .credential_config import CredentialConfig
from .refresher import Refresher
from .token_state import Snapshot, TokenState

_time, _monotonic = time.time, time.monotonic


class Credential:
    """One token, kept fresh. Created by ``Client.credential``; safe for threads and event loops.

    While the token is fresh, ``token()`` compares two clocks and takes no lock. In the advisory
    window (see ``Freshness``), one thread refreshes it while callers still get the current token.
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
            TokenError: The provider rejected the request.
            TransportError: The provider gave no usable response.
        """
        state = self._state
        if _monotonic() < state.until_monotonic and _time() < state.until:
            token = state.token
            if token.access_token:  # a logout may have removed it since the comparison
                return token
        deadline = self._deadline(timeout)
        while True:
            step, seen = self._step(deadline)
            if isinstance(step, Token):
                return step
            if not isinstance(step, Future):
                deadline.wait(step)
                continue
            if not single_flight.wait(step, deadline):
                self._raise_timeout(deadline)
            found = self._apply(seen, step)
            if found is not None:
                return found
            single_flight.raise_copy(step)

    async def token_async(self, timeout: float | None = None) -> Token:  # noqa: ASYNC109 - as token()
        """Return a valid token without blocking the event loop; see ``token()``.

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
            # A step may start a thread, but never touches the network or the store.
            step, seen = self._step(deadline)
            if isinstance(step, Token):
                return step
            if not isinstance(step, Future):
                await asyncio.sleep(step)
                continue
            if not await single_flight.wait_async(step, deadline):
                self._raise_timeout(deadline)
            found = self._apply(seen, step)
            if found is not None:
                return found
            single_flight.raise_copy(step)

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
        if token.expires_at is None and token.expires_in is not None:
            token = replace(token, expires_at=_time() + token.expires_in)
        store = self._config.store
        if store is not None:
            # Hold the lock, so that a running refresh does not overwrite this token.
            with store.lock(self.key, self._config.timeout) as fence:
                store.save(self.key, token, fence=fence)
        self._state.accept(token)

    def forget(self) -> None:
        """Remove the token from this credential and from the store, as at a logout.

        Raises:
            StoreError: The token could not be removed from the store.
        """
        store = self._config.store
        if store is not None:
            with store.lock(self.key, self._config.timeout) as fence:
                store.delete(self.key, fence=fence)
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

    def _step(self, deadline: Deadline) -> tuple[Token | float | Future[Token], Snapshot]:
        """Return a token, or a running refresh, or the seconds to wait before the next step."""
        flight = self._flight
        seen, usable, refresh, pause = self._state.decide()
        if refresh:
            work = Refresher(self._config, self._key, self._state, seen.token)
            future = single_flight.join(flight, work.refresh)
            if not usable:
                return future, seen
            future.add_done_callback(partial(self._apply, seen))
        elif not usable:
            if pause > deadline.remaining():
                self._raise_paused(pause, seen)
            return pause, seen
        return seen.token, seen

    @property
    def _flight(self) -> tuple[object, str]:
        """Key of the single flight: credentials with the same store and key share one refresh."""
        store = self._config.store
        return self if store is None else id(store), self.key

    def _apply(self, seen: Snapshot, future: Future[Token]) -> Token | None:
        """Apply the result of a refresh that another credential of the same token may have run.

        A late result changes nothing: it does not replace a newer token, and a failure counts once.

        Returns:
            The token; None if there is none, or if it was reported to this credential as rejected.
        """
        if future.cancelled():
            self._state.until = 0.0
            return None
        error = future.exception()
        if error is None:
            return self._state.adopt(future.result(), seen.token)
        if isinstance(error, Exception):
            self._state.fail(error, seen)
        return None

    def _deadline(self, timeout: float | None) -> Deadline:
        wait = check_wait(timeout)
        return Deadline(self._config.timeout if wait is None else wait)

    def _raise_timeout(self, deadline: Deadline) -> NoReturn:
        raise WaitTimeoutError(
            f"No token within {deadline.seconds:g} s; the request to "
            f"{self._config.source.provider.host} continues. Try again, or use a longer timeout."
        )

    def _raise_paused(self, pause: float, seen: Snapshot) -> NoReturn:
        if self._config.store is not None:
            # Another machine may have stored a token meanwhile; the next call returns it.
            work = Refresher(self._config, self._key, self._state, seen.token)
            single_flight.join(("look", *self._flight), work.look)
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
