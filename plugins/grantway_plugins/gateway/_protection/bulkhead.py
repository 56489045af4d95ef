"""A bulkhead: so many calls at once, so many that wait for a place, and no more."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from grantway._types.quantity import check_count, check_seconds

from .breaker import Pause, Ticket

if TYPE_CHECKING:
    from grantway._requests.exchange import Exchange


@dataclass(frozen=True, slots=True)
class BulkheadRules:
    """How many calls a provider is asked at once.

    Attributes:
        at_once: Calls in flight at most.
        waiting: Calls that wait for a place at most; one more is turned away at once.
        come_back: Seconds after which a caller that was turned away may ask again.

    Raises:
        ConfigurationError: names the attribute that cannot work.
    """

    at_once: int = 32
    waiting: int = 64
    come_back: float = 1.0

    def __post_init__(self) -> None:
        check_count("BulkheadRules.at_once", self.at_once)
        check_count("BulkheadRules.waiting", self.waiting, least=0)
        check_seconds("BulkheadRules.come_back", self.come_back)


class Place:
    """One call that waits, until ``called`` is set with a ticket or with why it gets none."""

    __slots__ = ("called", "exchange", "outcome")

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.called = threading.Event()
        self.outcome: Ticket | Pause | None = None

    def tell(self, outcome: Ticket | Pause) -> None:
        """Wake who waits."""
        self.outcome = outcome
        self.called.set()


class Bulkhead:
    """The running and the waiting calls, first come first served. Callers hold a lock.

    Attributes:
        running: The calls in flight.
        line: The calls that wait, in the order in which they came.
    """

    def __init__(self, rules: BulkheadRules) -> None:
        self._rules = rules
        self.running: set[Exchange] = set()
        self.line: deque[Place] = deque()

    @property
    def free(self) -> bool:
        """Whether there is a place."""
        return len(self.running) < self._rules.at_once

    def enter(self, exchange: Exchange) -> Place | Literal["in", "full"]:
        """Take a place, or one in the line, or none."""
        if self.free and not self.line:
            self.running.add(exchange)
            return "in"
        if len(self.line) >= self._rules.waiting:
            return "full"
        place = Place(exchange)
        self.line.append(place)
        return place

    def leave(self, exchange: Exchange) -> None:
        """Give a place back."""
        self.running.discard(exchange)

    def forget_calls(self) -> None:
        """Wait for no call, as in a forked child, which runs none of them."""
        self.running.clear()
        self.line.clear()
