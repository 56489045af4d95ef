"""A circuit breaker: stops calls to a failing provider, then tries one call."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from grantway._types.quantity import check_count, check_seconds, check_share, refuse

from .window import Window

#: Why a call is not let through.
Reason = Literal["open", "retry_after", "probing"]
#: Doublings of a pause; any more would pass every limit.
_MOST_DOUBLINGS = 64
#: Seconds after which a caller may ask again, where only the probe's end will tell.
_PROBE_MAY_TAKE = 1.0


@dataclass(frozen=True, slots=True)
class BreakerRules:
    """When the breaker opens, and for how long.

    Attributes:
        failures: Failures in a row that open it.
        share: Share of failed calls, above 0 to 1, that opens it.
        window: Seconds over which the share is taken.
        least_calls: Calls within the window below which the share says nothing.
        open_for: Seconds until the first probe. Doubled after each probe that fails, and each time
            shortened by up to half at random, so that many gateways do not come back at once.
        longest: Seconds until the next probe at most.
        retry_after_cap: Seconds of a provider's ``Retry-After`` at most.

    Raises:
        ConfigurationError: names the attribute that cannot work.
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
            refuse("BreakerRules.longest", rule, self.longest)


@dataclass(frozen=True, slots=True, eq=False)
class Ticket:
    """A call that was let through; tells its outcome from those of an earlier time."""

    term: int


@dataclass(frozen=True, slots=True)
class Pause:
    """Why nothing is sent now, and the seconds until it is worth asking again."""

    reason: Reason
    seconds: float


class Breaker:
    """Whether calls go through. It knows no thread: who shares it holds a lock.

    Only calls that were let through since it last opened or closed count: a call that began
    before can neither close it nor open it again. While it is half-open, only the probe counts.

    Args:
        rules: When it opens, and for how long.
        clock: Seconds that only grow.
        jitter: A number from 0 to 1, for spreading.
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
        self._row = 0
        self._window = Window(rules.window)
        self._open_until: float | None = None
        self._openings = 0
        self._probe: Ticket | None = None
        self._paused_until = 0.0
        self._why = ""

    # --- What it is like --------------------------------------------------------------------------

    @property
    def state(self) -> Literal["closed", "open", "half_open"]:
        """``open`` while nothing may be sent, ``half_open`` when one call may go as a probe."""
        now = self._clock()
        if now < self._paused_until:
            return "open"
        if self._open_until is None:
            return "closed"
        return "open" if now < self._open_until else "half_open"

    @property
    def why(self) -> str:
        """Why it is not closed; empty while it is."""
        left = self._paused_until - self._clock()
        if left > 0 and left >= (self._open_until or 0.0) - self._clock():
            return "the provider said when to come back (Retry-After)"
        return "" if self._open_until is None else self._why

    @property
    def left(self) -> float:
        """Seconds until a call may go through; 0 when one may."""
        return max(0.0, max(self._open_until or 0.0, self._paused_until) - self._clock())

    @property
    def failures(self) -> int:
        """Failures in a row."""
        return self._row

    # --- Calls ------------------------------------------------------------------------------------

    def pause(self) -> Pause | None:
        """Why a call may not go through now, or None when it may."""
        now = self._clock()
        opened = self._open_until or 0.0
        if now < self._paused_until and self._paused_until >= opened:
            return Pause("retry_after", self._paused_until - now)
        if now < opened:
            return Pause("open", opened - now)
        return Pause("probing", _PROBE_MAY_TAKE) if self._probe is not None else None

    def admit(self) -> Ticket:
        """Let a call through that ``pause()`` gave no reason against."""
        ticket = Ticket(self._term)
        if self._open_until is not None:
            self._probe = ticket
        return ticket

    def is_probe(self, ticket: Ticket) -> bool:
        """Whether the fate of the breaker hangs on this call."""
        return ticket is self._probe

    def settle(self, ticket: Ticket, failed: bool | None, what: str = "") -> None:
        """Record how a call ended.

        Args:
            ticket: The ticket of the call.
            failed: Whether the provider failed; None if unknown, for example if nothing was sent.
            what: A word for the failure.
        """
        if ticket is self._probe:
            self._probe = None
            if failed:
                self._open(f"{self._reason()}; the probe failed too ({what})")
            elif failed is not None:
                self._close()
        elif failed is not None and ticket.term == self._term:
            self._count(failed, what)

    def come_back_in(self, asked: float) -> bool:
        """Send nothing for so many seconds, as the provider asked; True if that is news."""
        until = self._clock() + min(asked, self._rules.retry_after_cap)
        if asked <= 0 or until <= self._paused_until:
            return False
        self._paused_until = until
        return True

    def forget_calls(self) -> None:
        """Wait for no call that was let through, as in a forked child, which runs none of them."""
        self._probe = None
        self._term += 1

    # --- Its moves --------------------------------------------------------------------------------

    def _count(self, failed: bool, what: str) -> None:
        rules = self._rules
        self._window.add(self._clock(), failed=failed)
        self._row = self._row + 1 if failed else 0
        if not failed:
            return
        if self._row >= rules.failures:
            self._open(f"{self._row} failures in a row, the last: {what}")
            return
        calls, bad = self._window.totals(self._clock())
        if calls >= rules.least_calls and bad / calls >= rules.share:
            self._open(f"{bad} of {calls} calls in {rules.window:g} s failed, the last: {what}")

    def _reason(self) -> str:
        return self._why.partition(";")[0]

    def _open(self, why: str) -> None:
        rules = self._rules
        most = min(rules.longest, rules.open_for * 2 ** min(self._openings, _MOST_DOUBLINGS))
        self._open_until = self._clock() + most * (1 - self._jitter() / 2)
        self._openings += 1
        self._why = why
        self._term += 1

    def _close(self) -> None:
        self._open_until = None
        self._openings = self._row = 0
        self._window = Window(self._rules.window)
        self._why = ""
        self._term += 1
