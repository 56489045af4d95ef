"""A circuit breaker: stops calls to a failing provider, then lets one through as a probe."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from grantway._types.quantity import check_count, check_seconds, check_share, reject

from .window import Window

#: Reason why a call is rejected.
Reason = Literal["open", "retry_after", "probing"]
#: Maximum number of doublings, which keeps the delay a finite float.
_MOST_DOUBLINGS = 64
#: Largest difference in seconds between two readings of one shared time.
_SAME = 0.1
#: Retry delay in seconds for calls that are rejected during a probe, whose duration is unknown.
_PROBE_RETRY_AFTER = 1.0


@dataclass(frozen=True, slots=True)
class BreakerRules:
    """Settings of a circuit breaker.

    Attributes:
        failures: Number of consecutive failures that opens the breaker.
        share: Share of failed calls that opens the breaker, greater than 0 and at most 1.
        window: Seconds over which the share is computed.
        least_calls: Minimum number of calls in the window before ``share`` applies.
        open_for: Seconds until the first probe. Doubled after each failed probe, then reduced at
            random by up to half, so that many gateways do not retry at the same time.
        longest: Maximum number of seconds until the next probe.
        retry_after_cap: Maximum number of seconds to honour from a provider's ``Retry-After``.

    Raises:
        ConfigurationError: An attribute is invalid; the message names it.
    """

    failures: int = 5
    share: float = 0.5
    window: float = 30.0
    least_calls: int = 20
    open_for: float = 5.0
    longest: float = 60.0
    retry_after_cap: float = 300.0

    def __post_init__(self) -> None:
        for name in ("failures", "least_calls"):
            check_count(f"BreakerRules.{name}", getattr(self, name))
        for name in ("window", "open_for", "longest", "retry_after_cap"):
            check_seconds(f"BreakerRules.{name}", getattr(self, name))
        check_share("BreakerRules.share", self.share, zero=False)
        if self.longest < self.open_for:
            rule = f"must not be less than open_for ({self.open_for:g} seconds)"
            reject("BreakerRules.longest", rule, self.longest)


@dataclass(frozen=True, slots=True, eq=False)
class Ticket:
    """An admitted call.

    Attributes:
        term: Number of times that the breaker had opened or closed when it admitted the call.
    """

    term: int


@dataclass(frozen=True, slots=True)
class Pause:
    """A rejected call.

    Attributes:
        reason: Reason why the call is rejected.
        seconds: Seconds after which the caller can retry.
    """

    reason: Reason
    seconds: float


class Breaker:
    """A circuit breaker. Not thread-safe: threads that share it must hold a lock.

    Only calls admitted since the breaker last opened or closed count, so an older call can neither
    open nor close it. While it is half-open, only the probe counts.

    Args:
        rules: Its settings.
        clock: Returns monotonic time in seconds.
        jitter: Returns a random number from 0 to 1.
    """

    def __init__(
        self,
        rules: BreakerRules,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._rules = rules
        self._clock = clock
        self._jitter = jitter
        self._term = 0
        self._failures = 0
        self._window = Window(rules.window)
        self._open_until: float | None = None
        self._openings = 0
        self._probe: Ticket | None = None
        self._paused_until = 0.0
        self._why = ""

    # --- State ------------------------------------------------------------------------------------

    @property
    def state(self) -> Literal["closed", "open", "half_open"]:
        """``open`` while calls are rejected, ``half_open`` if one call may pass as a probe."""
        now = self._clock()
        if now < self._paused_until:
            return "open"
        if self._open_until is None:
            return "closed"
        return "open" if now < self._open_until else "half_open"

    @property
    def why(self) -> str:
        """Reason why the breaker is not closed; empty if it is closed."""
        left = self._paused_until - self._clock()
        if left > 0 and left >= (self._open_until or 0.0) - self._clock():
            return "the provider sent Retry-After"
        return "" if self._open_until is None else self._why

    @property
    def left(self) -> float:
        """Seconds until the breaker admits a call; 0 if it admits one now."""
        return max(0.0, max(self._open_until or 0.0, self._paused_until) - self._clock())

    @property
    def failures(self) -> int:
        """Number of consecutive failures."""
        return self._failures

    @property
    def openings(self) -> int:
        """Number of times that it has opened since it was last closed."""
        return self._openings

    @property
    def reason(self) -> str:
        """Reason why it opened, without pauses for ``Retry-After``; empty if it is closed."""
        return self._why

    @property
    def paused_left(self) -> float:
        """Seconds until a ``Retry-After`` has passed."""
        return max(0.0, self._paused_until - self._clock())

    @property
    def open_left(self) -> float:
        """Seconds until the next probe, without pauses for ``Retry-After``; 0 if closed."""
        return max(0.0, (self._open_until or 0.0) - self._clock())

    # --- Calls ------------------------------------------------------------------------------------

    def pause(self) -> Pause | None:
        """Return why a call is rejected now, or None if it would be admitted."""
        now = self._clock()
        opened = self._open_until or 0.0
        if now < self._paused_until and self._paused_until >= opened:
            return Pause("retry_after", self._paused_until - now)
        if now < opened:
            return Pause("open", opened - now)
        return Pause("probing", _PROBE_RETRY_AFTER) if self._probe is not None else None

    def admit(self) -> Ticket:
        """Admit a call. ``pause()`` must have returned None."""
        ticket = Ticket(self._term)
        if self._open_until is not None:
            self._probe = ticket
        return ticket

    def is_probe(self, ticket: Ticket) -> bool:
        """Return whether the call is the probe of the half-open breaker."""
        return ticket is self._probe

    def record_outcome(self, ticket: Ticket, failed: bool | None, error: str = "") -> None:
        """Record the outcome of a call, which may open or close the breaker.

        Args:
            ticket: The ticket of the call.
            failed: Whether the provider failed; None if unknown, for example if nothing was sent.
            error: Code of the failure.
        """
        if ticket is self._probe:
            self._probe = None
            if failed:
                first = self._why.partition(";")[0]
                self._open(f"{first}; the probe failed too ({error})")
            elif failed is not None:
                self._close()
        elif failed is not None and ticket.term == self._term:
            self._count(failed, error)

    def pause_for(self, seconds: float) -> bool:
        """Reject calls for a provider's ``Retry-After``; return whether that extends the pause."""
        until = self._clock() + min(seconds, self._rules.retry_after_cap)
        if seconds <= 0 or until <= self._paused_until:
            return False
        self._paused_until = until
        return True

    def open_for(self, seconds: float, openings: int, why: str) -> bool:
        """Open because another machine did; return whether that changes anything.

        The next call after it is a probe, as after an opening of this breaker.

        Args:
            seconds: Seconds until that machine's next probe; at most ``longest`` counts.
            openings: Number of times that it has opened in a row.
            why: Its reason.
        """
        until = self._clock() + min(seconds, self._rules.longest)
        longer = until > (self._open_until or 0.0) + _SAME
        if seconds <= 0 or self._probe is not None or not longer:
            return False
        self._open_until = until
        self._openings = max(self._openings, openings)
        self._why = why
        self._term += 1
        return True

    def forget_calls(self) -> None:
        """Forget all admitted calls. A forked child runs none of its parent's calls."""
        self._probe = None
        self._term += 1

    # --- Transitions ------------------------------------------------------------------------------

    def _count(self, failed: bool, error: str) -> None:
        rules = self._rules
        self._window.add(self._clock(), failed=failed)
        self._failures = self._failures + 1 if failed else 0
        if not failed:
            return
        if self._failures >= rules.failures:
            self._open(f"{self._failures} failures in a row, the last: {error}")
            return
        calls, bad = self._window.totals(self._clock())
        if calls >= rules.least_calls and bad / calls >= rules.share:
            self._open(f"{bad} of {calls} calls in {rules.window:g} s failed, the last: {error}")

    def _open(self, why: str) -> None:
        rules = self._rules
        delay = min(rules.longest, rules.open_for * 2 ** min(self._openings, _MOST_DOUBLINGS))
        self._open_until = self._clock() + delay * (1 - self._jitter() / 2)
        self._openings += 1
        self._why = why
        self._term += 1

    def _close(self) -> None:
        self._open_until = None
        self._openings = self._failures = 0
        self._window = Window(self._rules.window)
        self._why = ""
        self._term += 1
