"""What stands between a provider's clients and the provider: its breaker and its bulkhead."""

from __future__ import annotations

import logging
import os
import random
import time
import weakref
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from grantway._exceptions import (
    FlowCancelledError,
    GrantwayError,
    InternalServerException,
    ProviderPausedError,
    ProviderUnavailableError,
    TemporarilyUnavailableError,
    TokenError,
    TransportError,
    UnknownTokenError,
)
from grantway._processes.copies import OneProcess
from grantway._processes.fork import fork_safe_lock
from grantway._transport.http import SERVER_FAULT

from .breaker import Breaker, BreakerRules, Pause, Ticket
from .bulkhead import Bulkhead, BulkheadRules, Place
from .state import Notice, ProtectionState, ShedReason

if TYPE_CHECKING:
    from grantway._requests.exchange import Exchange
    from grantway._requests.middleware import Next
    from grantway._wire.provider_response import ProviderResponse

_log = logging.getLogger("grantway.gateway")

#: Guards the few numbers of every protection. Never held over anything that waits.
_lock = fork_safe_lock()
_all: weakref.WeakSet[Protection] = weakref.WeakSet()

#: Seconds between checks whether a waiting call was cancelled.
_LOOK = 0.1

#: Reasons in the error message for a rejected call.
_SAID: dict[ShedReason, str] = {
    "open": "its circuit breaker is open",
    "retry_after": "it sent Retry-After",
    "probing": "one call is testing whether it has recovered",
    "full": "its waiting line is full",
    "deadline": "the call timed out while it waited",
}


class Protection(OneProcess):
    """A circuit breaker and a bulkhead, as one middleware. Safe for threads.

    One object a provider: give it to every client of that provider in the process::

        protection = Protection("login.example.com")
        client = Client(provider, client_id="gateway", middleware=[protection])

    A call that is not sent raises ``ProviderPausedError`` with ``retry_after``, in no time and
    without a socket. Failures are those of the provider: no usable answer, ``server_error`` and
    ``temporarily_unavailable``. A refusal, such as ``invalid_grant``, is an answer.

    A ``Retry-After`` that one call was given holds for all. From then on, and while the breaker is
    open, calls that are under way are not sent again either: they end with what they know.

    Args:
        provider: A name for people and for metrics.
        breaker: When to leave the provider alone.
        bulkhead: How many calls at once.
        listeners: Called with each ``Notice``, in the thread of the call; keep them short.
        clock: Seconds that only grow; for tests.
        jitter: A number from 0 to 1; for tests.
    """

    stays = "it counts what this process sends; make one in each process"

    def __init__(
        self,
        provider: str,
        *,
        breaker: BreakerRules | None = None,
        bulkhead: BulkheadRules | None = None,
        listeners: Iterable[Callable[[Notice], None]] = (),
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.provider = provider
        self._come_back = (bulkhead or BulkheadRules()).come_back
        self._breaker = Breaker(breaker or BreakerRules(), clock, jitter)
        self._bulkhead = Bulkhead(bulkhead or BulkheadRules())
        self._listeners = list(listeners)
        self._shown = "closed"
        _all.add(self)

    def __call__(self, exchange: Exchange, call_next: Next) -> ProviderResponse:
        """Let the call through, now or when there is a place, or raise.

        Raises:
            ProviderPausedError: nothing was sent.
            FlowCancelledError: the caller called it off while it waited; nothing was sent.
        """
        ticket = self._enter(exchange)
        failed: bool | None = None
        what = ""
        try:
            self._tell("load")
            if self._breaker.is_probe(ticket):
                exchange.most_attempts = 1
                self._announce()
            exchange.on_refusal = self._heed
            answer = call_next(exchange)
            failed = False
        except GrantwayError as error:
            failed, what = _verdict(error), error.code
            raise
        else:
            return answer
        finally:
            self._leave(exchange, ticket, failed, what)

    def state(self) -> ProtectionState:
        """What it is like now, for a health page."""
        with _lock:
            breaker, bulkhead = self._breaker, self._bulkhead
            left = breaker.left
            return ProtectionState(
                provider=self.provider,
                breaker=breaker.state,
                why=breaker.why,
                until=time.time() + left if left else None,
                in_flight=len(bulkhead.running),
                waiting=len(bulkhead.line),
                failures=breaker.failures,
            )

    def listen(self, listener: Callable[[Notice], None]) -> None:
        """Tell one more of each ``Notice``."""
        self._listeners.append(listener)

    def __repr__(self) -> str:
        return f"Protection({self.provider!r})"

    # --- The way of a call ------------------------------------------------------------------------

    def _enter(self, exchange: Exchange) -> Ticket:
        with _lock:
            pause = self._breaker.pause()
            entered = "full" if pause is not None else self._bulkhead.enter(exchange)
            ticket = self._breaker.admit() if entered == "in" else None
        if pause is not None:
            raise self._shed(exchange, pause.reason, pause.seconds)
        if isinstance(entered, Place):
            return self._wait(entered)
        if ticket is None:
            raise self._shed(exchange, "full", self._come_back)
        return ticket

    def _wait(self, place: Place) -> Ticket:
        """Wait for a place, no longer than the call may take."""
        deadline = place.exchange.deadline
        try:
            while not place.called.is_set() and not deadline.cancelled and deadline.remaining() > 0:
                place.called.wait(min(_LOOK, deadline.remaining()))
        except BaseException:
            # As by Ctrl-C: the place may have been given meanwhile.
            self._withdraw(place)
            raise
        if not place.called.is_set() or deadline.remaining() <= 0 or deadline.cancelled:
            self._withdraw(place)
            if deadline.cancelled:
                self._tell("load")
                raise FlowCancelledError(
                    "Cancelled by the caller; nothing was sent.",
                    evidence=replace(place.exchange.evidence(), attempts=0),
                )
            raise self._shed(place.exchange, "deadline", self._come_back)
        if isinstance(place.outcome, Pause):
            raise self._shed(place.exchange, place.outcome.reason, place.outcome.seconds)
        assert place.outcome is not None  # who calls gives a ticket or a reason
        return place.outcome

    def _withdraw(self, place: Place) -> None:
        with _lock:
            if isinstance(place.outcome, Ticket):
                self._release(place.exchange, place.outcome, None, "")
            elif place.outcome is None and place in self._bulkhead.line:
                self._bulkhead.line.remove(place)

    def _leave(self, exchange: Exchange, ticket: Ticket, failed: bool | None, what: str) -> None:
        exchange.on_refusal = None
        with _lock:
            self._release(exchange, ticket, failed, what)
        self._tell("load")
        self._announce()

    def _release(self, exchange: Exchange, ticket: Ticket, failed: bool | None, what: str) -> None:
        """Note how a call ended, and let the next ones in. Called with the lock."""
        self._bulkhead.leave(exchange)
        self._breaker.settle(ticket, failed, what)
        self._serve()

    def _serve(self) -> None:
        """Let in who waits, or tell them why not. Called with the lock."""
        bulkhead = self._bulkhead
        if self._breaker.left:
            for running in bulkhead.running:
                running.most_attempts = 1
        while bulkhead.line:
            pause = self._breaker.pause()
            if pause is None and not bulkhead.free:
                return
            place = bulkhead.line.popleft()
            if pause is not None:
                place.tell(pause)
            else:
                bulkhead.running.add(place.exchange)
                place.tell(self._breaker.admit())

    def _heed(self, asked: float | None) -> None:
        """Take up when the provider wants to be asked again, for all calls."""
        with _lock:
            news = asked is not None and self._breaker.come_back_in(asked)
            if news:
                self._serve()
        if news:
            self._announce()

    # --- Telling ----------------------------------------------------------------------------------

    def _shed(self, exchange: Exchange, reason: ShedReason, wait: float) -> ProviderPausedError:
        self._tell("shed", reason)
        return ProviderPausedError(
            f"{self.provider} was not asked: {_SAID[reason]}. Ask again in {wait:.1f} s.",
            retry_after=wait,
            evidence=replace(exchange.evidence(), attempts=0),
        )

    def _announce(self) -> None:
        """Tell of the breaker, if its state is another than was told last."""
        state = self.state()
        with _lock:
            before, self._shown = self._shown, state.breaker
        if before != state.breaker:
            level = logging.INFO if state.breaker == "closed" else logging.WARNING
            _log.log(level, "%s: breaker %s: %s", self.provider, state.breaker, state.why or "-")
            self._tell("breaker")

    def _tell(self, kind: Literal["load", "breaker", "shed"], reason: str = "") -> None:
        if not self._listeners:
            return
        notice = Notice(kind, self.state(), reason)
        for listener in self._listeners:
            try:
                listener(notice)
            except Exception as error:  # noqa: BLE001 - a stranger's code; the call must go on
                _log.warning(
                    "A listener of %s raised %s; the call goes on.",
                    self.provider,
                    type(error).__name__,
                )


def _verdict(error: GrantwayError) -> bool | None:
    """Whether the provider failed; None where the error does not say."""
    if isinstance(error, ProviderUnavailableError) and error.retry_after is not None:
        return None  # it said when it can be asked, and until then it is not: that is enough
    if isinstance(
        error, (TransportError, InternalServerException, TemporarilyUnavailableError)
    ) or (isinstance(error, UnknownTokenError) and (error.evidence.status or 0) >= SERVER_FAULT):
        return True
    return False if isinstance(error, TokenError) else None


def _after_fork() -> None:
    # The child has none of its parent's threads, so no call that it inherits would ever end.
    for protection in _all:
        protection._breaker.forget_calls()  # noqa: SLF001 - its own module
        protection._bulkhead.forget_calls()  # noqa: SLF001


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)
