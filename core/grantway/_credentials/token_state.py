"""The token that a credential holds, and what to do about it now.

Everything here is decided from the clocks and earlier outcomes: nothing waits, sends or stores.
"""

from __future__ import annotations

import os
import random
import time
from typing import TYPE_CHECKING, NamedTuple

from grantway._exceptions import (
    LoginNeededError,
    ProviderPausedError,
    TokenError,
    TransportError,
)
from grantway._log import logger
from grantway._processes.fork import fork_safe_lock
from grantway._types.token import Token

from .recheck import Recheck

if TYPE_CHECKING:
    from .credential_config import CredentialConfig
_time, _monotonic = time.time, time.monotonic

#: Guards assignments that belong together. Never held while waiting.
_lock = fork_safe_lock()

#: Sentinel for a missing token; callers never get it.
_NOTHING = Token("")
_FOREVER = float("inf")

#: Pause after the first failure, the longest pause (doubling in between), and the longest
#: ``Retry-After`` that is honoured, in seconds.
_FIRST_PAUSE, _LONGEST_PAUSE, _LONGEST_RETRY_AFTER = 0.5, 60.0, 3600.0
#: Shortest time between two refreshes that return the same token, in seconds.
_SAME_AGAIN = 1.0


class FailureState:
    """The failures of a credential. Most credentials have none.

    Attributes:
        failures: Number of consecutive failed refreshes.
        paused_until: Monotonic time before which no request is sent to the provider.
        error: The last failure.
        rejected_access_token: An access token that a resource server rejected.
        rejected_refresh_token: A refresh token that the provider rejected.
        rejection: The provider's error for ``rejected_refresh_token``.
        single_use_spent: Whether the grant's single-use parameters, such as a code, are used up.
        unsaved: A token that could not be stored, and the token that it replaces.
    """

    __slots__ = (
        "error",
        "failures",
        "paused_until",
        "rejected_access_token",
        "rejected_refresh_token",
        "rejection",
        "single_use_spent",
        "unsaved",
    )

    def __init__(self) -> None:
        self.failures = 0
        self.paused_until = 0.0
        self.error: Exception | None = None
        self.rejected_access_token: str | None = None
        self.rejected_refresh_token: str | None = None
        self.rejection: TokenError | None = None
        self.single_use_spent = False
        self.unsaved: tuple[Token, Token | None] | None = None


class Snapshot(NamedTuple):
    """The state of a credential when a caller requested a token.

    Attributes:
        token: The token at that time.
        failures: Number of consecutive failed refreshes at that time.
    """

    token: Token
    failures: int


class Decision(NamedTuple):
    """What to do for a caller whose token is not fresh.

    Attributes:
        seen: The state that the decision is based on.
        usable: Whether the caller gets ``seen.token`` now.
        refresh: Whether to start a refresh, or join the running one.
        pause: Seconds until the next request to the provider is allowed, if ``refresh`` is False.
        check: Whether to compare the token with the stored one, or join the running comparison.
    """

    seen: Snapshot
    usable: bool
    refresh: bool
    pause: float
    check: bool = False


class TokenState:
    """A token, the times until which it is served, and the failures of its refreshes.

    Args:
        config: The credential's settings.

    Attributes:
        token: The token; one with an empty ``access_token`` if there is none.
        until: Wall-clock time until which the token is served without further checks.
        until_monotonic: The same on the monotonic clock. Both clocks count: the wall clock can be
            set back, which would revive an expired token, and the monotonic clock stops while the
            machine sleeps.
        end: Wall-clock time after which the token is not served.
        end_monotonic: The same on the monotonic clock.
        failure: The failures, or None.
        process: ID of the process that obtained the token.
        recheck: When the token is compared with the stored one; None if that is never done.
    """

    __slots__ = (
        "_config",
        "end",
        "end_monotonic",
        "failure",
        "process",
        "recheck",
        "token",
        "until",
        "until_monotonic",
    )

    def __init__(self, config: CredentialConfig) -> None:
        self._config = config
        self.token = _NOTHING
        self.until = self.until_monotonic = self.end = self.end_monotonic = 0.0
        self.failure: FailureState | None = None
        self.process = 0
        self.recheck = None if config.recheck is None else Recheck(config.recheck)

    @property
    def fresh(self) -> bool:
        """Whether the token can be served without starting a refresh."""
        return _monotonic() < self.until_monotonic and _time() < self.until

    @property
    def alive(self) -> bool:
        """Whether there is a token that has not expired and was not rejected."""
        return (
            _monotonic() < self.end_monotonic
            and _time() < self.end
            and not self._rejected(self.token)
        )

    @property
    def pause(self) -> float:
        """Seconds until the next request to the provider is allowed; not positive if it is now."""
        return (0.0 if self.failure is None else self.failure.paused_until) - _monotonic()

    def decide(self) -> Decision:
        """Return what to do for a caller whose token is not fresh.

        A usable token is served to other callers while a refresh runs or no request is allowed.
        """
        with _lock:
            seen = self._snapshot()
            if self.fresh:  # refreshed since the caller checked
                return Decision(seen, usable=True, refresh=False, pause=0.0)
            pause = self.pause
            usable = self.alive
            if usable and self.recheck is not None and self.recheck.due:
                overdue = self.recheck.overdue
                self._limit(self.recheck.left)
                return Decision(seen, usable=not overdue, refresh=False, pause=0.0, check=True)
            if usable:
                # Before the refresh starts: it sets new times when it ends.
                self.serve_for(pause if pause > 0 else _FOREVER)
            return Decision(seen, usable=usable, refresh=pause <= 0, pause=pause)

    def attempt(self) -> tuple[Snapshot, float]:
        """Return the state, and the seconds until the next request to the provider is allowed."""
        with _lock:
            return self._snapshot(), self.pause

    def begin(self, before: Token) -> tuple[Snapshot, FailureState] | Token:
        """Return what a refresh starts from, or the token if ``before`` was replaced already."""
        with _lock:
            if self.token is not before and self.alive:
                return self.token
            return self._snapshot(), self._failure()

    def finish(self, token: Token, replaced: Token) -> None:
        """Use the token of a refresh, unless a login or logout happened meanwhile.

        Args:
            token: The new token.
            replaced: The token when the refresh began.
        """
        with _lock:
            if self.token is not replaced:
                return
            self.use(token)
            if token.access_token == replaced.access_token and not self.fresh:
                # The provider returns the same token until it expires, so refresh less often.
                half = (self.end_monotonic - _monotonic()) / 2
                self.serve_for(max(_SAME_AGAIN, half))

    def adopt(self, token: Token, seen: Token) -> Token | None:
        """Use a token that another credential or process obtained, if ``seen`` is still held.

        An unsaved token is kept: only a refresh may drop it, after comparing it with the store's.

        Returns:
            The token, or None if it was rejected.
        """
        with _lock:
            if self._rejected(token):
                return None
            if self.failure is not None and self.failure.unsaved is not None:
                self.until = 0.0  # so that the next call starts that refresh
            elif self.token is seen:
                self.use(token)
        return token

    def use(self, token: Token) -> None:
        """Use a token from now on."""
        position = random.random()  # noqa: S311 - it spreads refreshes and protects nothing
        advisory, mandatory = self._config.freshness.time_left(token, position)
        with _lock:
            failure = self.failure
            now, monotonic = _time(), _monotonic()
            # Set the token first, so that no reader sees the old token with the new times.
            self.token = token
            self.process = os.getpid()
            self.end, self.end_monotonic = now + mandatory, monotonic + mandatory
            self.until, self.until_monotonic = now + advisory, monotonic + advisory
            if self.recheck is not None:
                self.recheck.confirm()
                self.recheck.refresh_after(advisory)
                self._limit(self.recheck.left)
            if failure is not None:
                failure.failures, failure.paused_until = 0, 0.0
                failure.error = failure.rejection = failure.unsaved = None
                if failure.rejected_access_token == token.access_token:
                    # The provider issued it again and has no other.
                    failure.rejected_access_token = None
                if failure.rejected_refresh_token == token.refresh_token:
                    failure.rejected_refresh_token = None  # the same
                if failure.rejected_access_token is None and failure.rejected_refresh_token is None:
                    self.failure = None

    def accept(self, token: Token) -> None:
        """Use the token of a login, even if an earlier login returned it and it was rejected."""
        with _lock:
            if self.failure is not None:
                self.failure.rejected_access_token = self.failure.rejected_refresh_token = None
            self.use(token)

    def reject(self, token: Token) -> None:
        """Record that a resource server rejected a token, if it is the current one."""
        with _lock:
            if token.access_token == self.token.access_token:
                self._failure().rejected_access_token = token.access_token
                self.until = 0.0

    def forget(self) -> None:
        """Drop the token, and discard the result of a running refresh."""
        with _lock:
            failure = self._failure()
            failure.rejected_access_token = self.token.access_token
            failure.rejected_refresh_token = self.token.refresh_token
            failure.rejection = failure.unsaved = None
            failure.single_use_spent = True
            # Use a new sentinel so that a running refresh is discarded (compared by identity).
            self.token = Token("")
            self.until = self.end = 0.0

    def fail(self, error: Exception, seen: Snapshot) -> None:
        """Record the failure of a refresh once, and pause requests to the provider.

        Args:
            error: The failure.
            seen: The state when the refresh began; a later change makes the failure irrelevant.
        """
        with _lock:
            failure = self._failure()
            if self.token is not seen.token or failure.failures != seen.failures:
                return
            failure.error = error
            failure.failures += 1
            most = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(failure.failures - 1, 16))
            pause = most * random.uniform(0.5, 1.0)  # noqa: S311 - it protects nothing
            if isinstance(error, (TokenError, TransportError, ProviderPausedError)):
                retry_after = getattr(error, "retry_after", None) or 0.0
                pause = max(pause, min(retry_after, _LONGEST_RETRY_AFTER))
                failure.paused_until = _monotonic() + pause
            if not self.alive:
                return
            # Only a login fixes this, so do not try again before the token expires.
            self.serve_for(_FOREVER if isinstance(error, LoginNeededError) else pause)
        logger.warning(
            "refresh failed (%s); callers get the current token of %s for another %.0f s",
            getattr(error, "code", type(error).__name__),
            self._config.source.provider.host,
            self.end_monotonic - _monotonic(),
        )

    def serve_for(self, seconds: float) -> None:
        """Serve the token without further checks for some seconds, at most until it expires."""
        with _lock:
            if self._rejected(self.token):
                return
            if self.recheck is not None:
                self.recheck.refresh_after(seconds)
                seconds = self.recheck.left
            self._limit(seconds)

    # --- Comparison with the stored token ---------------------------------------------------------

    def compare(self, stored: Token | None, seen: Token) -> None:
        """Drop a token that another process has deleted, or use the one that it has stored.

        Args:
            stored: The stored token.
            seen: The token when the comparison began; a later change makes its result irrelevant.
        """
        with _lock:
            if self.token is not seen or self.recheck is None:
                return
            held = None if self.failure is None else self.failure.unsaved
            unsaved = held is not None
            # An unsaved token that replaces a stored one was discarded by the logout, too.
            if stored is None and (held is None or held[1] is not None):
                self.forget()
                # If it is stored again, the provider has issued it again.
                failure = self._failure()
                failure.rejected_access_token = failure.rejected_refresh_token = None
                return
            if stored is None or unsaved or stored.access_token == seen.access_token:
                self.recheck.confirm()
                self._limit(0.0 if unsaved else self.recheck.left)
            elif not self._rejected(stored) and self._config.freshness.time_left(stored)[1] > 0:
                self.use(stored)
            else:
                self.recheck.confirm()
                self._limit(self.recheck.left)

    def postpone(self) -> None:
        """Serve the token although it could not be compared with the stored one."""
        with _lock:
            if self.recheck is not None:
                self.recheck.postpone()
                self._limit(self.recheck.left)

    def _limit(self, seconds: float) -> None:
        """Set how long the token is served without further checks. Call with the lock held."""
        self.until_monotonic = min(self.end_monotonic, _monotonic() + seconds)
        self.until = min(self.end, _time() + seconds)

    def _rejected(self, token: Token) -> bool:
        return self.failure is not None and self.failure.rejected_access_token == token.access_token

    def _snapshot(self) -> Snapshot:
        return Snapshot(self.token, 0 if self.failure is None else self.failure.failures)

    def _failure(self) -> FailureState:
        """Return the failure state, and create it if needed. Call with the lock held."""
        if self.failure is None:
            self.failure = FailureState()
        return self.failure
