"""A bulkhead: limits the calls in progress and the calls that wait."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from grantway._types.quantity import check_count, check_seconds

from .breaker import Pause, Ticket

if TYPE_CHECKING:
    from grantway._requests.exchange import Exchange


@dataclass(frozen=True, slots=True)
class BulkheadRules:
    """Limits on concurrent calls to a provider.

    Attributes:
        at_once: Maximum number of calls in progress.
        waiting: Maximum number of calls in the queue; further calls are rejected immediately.
        retry_after: Retry delay for rejected callers, in seconds.

    Raises:
        ConfigurationError: An attribute is invalid; the message names it.
    """

    at_once: int = 32
    waiting: int = 64
    retry_after: float = 1.0

    def __post_init__(self) -> None:
        check_count("BulkheadRules.at_once", self.at_once)
        check_count("BulkheadRules.waiting", self.waiting, least=0)
        check_seconds("BulkheadRules.retry_after", self.retry_after)


class WaitingCall:
    """A call in the queue.

    Attributes:
        exchange: The call.
        outcome: A ticket once the call is admitted, or the reason why it is rejected.
    """

    __slots__ = ("exchange", "outcome")

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.outcome: Future[Ticket | Pause] = Future()


class Bulkhead:
    """The running calls and a first-in, first-out queue. Callers must hold a lock.

    Attributes:
        running: Calls in progress.
        queue: Waiting calls, the oldest first.
    """

    def __init__(self, rules: BulkheadRules) -> None:
        self._rules = rules
        self.running: set[Exchange] = set()
        self.queue: deque[WaitingCall] = deque()

    @property
    def free(self) -> bool:
        """Whether another call may run."""
        return len(self.running) < self._rules.at_once

    def enter(self, exchange: Exchange) -> WaitingCall | Literal["in", "full"]:
        """Run a call (``in``), or queue it, or reject it if the queue is full (``full``)."""
        if self.free and not self.queue:
            self.running.add(exchange)
            return "in"
        if len(self.queue) >= self._rules.waiting:
            return "full"
        call = WaitingCall(exchange)
        self.queue.append(call)
        return call

    def leave(self, exchange: Exchange) -> None:
        """Remove a call that has ended."""
        self.running.discard(exchange)

    def forget_calls(self) -> None:
        """Forget all calls. A forked child runs none of its parent's calls."""
        self.running.clear()
        self.queue.clear()
