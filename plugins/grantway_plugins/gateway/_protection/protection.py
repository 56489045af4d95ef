"""The middleware that applies a provider's circuit breaker and bulkhead."""

from __future__ import annotations

import logging
import os
import random
import time
import weakref
from collections.abc import Callable, Generator, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

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
from grantway._requests.steps import Wait
from grantway._transport.http import SERVER_FAULT

from .breaker import Breaker, BreakerRules, Pause, Ticket
from .bulkhead import Bulkhead, BulkheadRules, WaitingCall
from .shared import PATIENCE, FailureRecord, SharedFailure
from .state import Notice, ProtectionState, ShedReason

if TYPE_CHECKING:
    from grantway._requests.exchange import Exchange
    from grantway._wire.provider_response import ProviderResponse

_log = logging.getLogger("grantway.gateway")

#: Guards the state of every protection. Never held while waiting.
_lock = fork_safe_lock()
_all: weakref.WeakSet[Protection] = weakref.WeakSet()

#: Reasons in the error message for a rejected call.
_REASONS: dict[ShedReason, str] = {
    "open": "its circuit breaker is open",
    "retry_after": "it sent Retry-After",
    "probing": "one call is testing whether it has recovered",
    "full": "its queue is full",
    "deadline": "the call timed out while it waited",
}


class Protection(OneProcess):
    """Middleware with a circuit breaker and a bulkhead. Thread-safe.

    Create one object for each provider, and pass it to every client of that provider in the
    process::

        protection = Protection("login.example.com")
        client = Client(provider, client_id="gateway", middleware=[protection])

    A rejected call raises ``ProviderPausedError`` with ``retry_after`` without using the network.
    The breaker counts failures of the provider: no usable response, ``server_error`` and
    ``temporarily_unavailable``. An error such as ``invalid_grant`` is not a failure of the
    provider.

    A ``Retry-After`` in one response applies to all calls. Until it has passed, and while the
    breaker is open, calls in progress are not retried.

    Args:
        provider: Name of the provider in logs and metrics.
        breaker: Settings of the circuit breaker.
        bulkhead: Limits on concurrent calls.
        listeners: Called with each ``Notice`` in the thread of the call, so they must be quick.
        clock: Returns monotonic time in seconds; for tests.
        jitter: Returns a random number from 0 to 1; for tests.
    """

    stays = "it counts what this process sends; create one in each process"

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
        limits = bulkhead or BulkheadRules()
        self._retry_after = limits.retry_after
        self._breaker = Breaker(breaker or BreakerRules(), clock, jitter)
        self._bulkhead = Bulkhead(limits)
        self._listeners = list(listeners)
        self._reported = "closed"
        self._record: FailureRecord | None = None
        _all.add(self)

    def __call__(self, exchange: Exchange) -> Generator[Exchange | Wait, Any, ProviderResponse]:
        """Send the call once the bulkhead has room for it.

        Raises:
            ProviderPausedError: The call was rejected. Nothing was sent.
            FlowCancelledError: The caller cancelled the call while it waited. Nothing was sent.
        """
        yield from self._hear(exchange)
        ticket = yield from self._enter(exchange)
        failed: bool | None = None
        code = ""
        try:
            self._notify("load")
            if self._breaker.is_probe(ticket):
                exchange.most_attempts = 1
                self._report_breaker()
            exchange.on_refusal = self._apply_retry_after
            response: ProviderResponse = yield exchange
            failed = False
        except GrantwayError as error:
            failed, code = _provider_failed(error), error.code
            raise
        else:
            return response
        finally:
            self._leave(exchange, ticket, failed, code)

    def state(self) -> ProtectionState:
        """Return the current state, for example for a health page."""
        with _lock:
            breaker, bulkhead = self._breaker, self._bulkhead
            left = breaker.left
            return ProtectionState(
                provider=self.provider,
                breaker=breaker.state,
                why=breaker.why,
                until=time.time() + left if left else None,
                in_flight=len(bulkhead.running),
                waiting=len(bulkhead.queue),
                failures=breaker.failures,
            )

    def listen(self, listener: Callable[[Notice], None]) -> None:
        """Add a listener, which is called with each ``Notice``."""
        self._listeners.append(listener)

    def share(self, record: FailureRecord | None) -> None:
        """Share failures with other machines through a record in a store, or stop sharing."""
        self._record = record

    def forget_calls(self) -> None:
        """Forget the calls and reads in progress, in a forked child."""
        self._breaker.forget_calls()
        self._bulkhead.forget_calls()
        if self._record is not None:
            self._record.forget_reads()

    def __repr__(self) -> str:
        return f"Protection({self.provider!r})"

    # --- Other machines ---------------------------------------------------------------------------

    def _hear(self, exchange: Exchange) -> Generator[Wait, bool, None]:
        """Learn of failures on other machines, at most once a second."""
        reading = None if self._record is None else self._record.read(self._apply_shared)
        if reading is None:
            return
        with _lock:
            rejected = self._breaker.pause() is not None
        if not rejected:
            yield Wait(max(0.0, min(PATIENCE, exchange.deadline.remaining())), until=reading)

    def _apply_shared(self, failure: SharedFailure | None) -> None:
        if failure is None:
            return
        now = time.time()
        with _lock:
            opened = self._breaker.open_for(failure.until - now, failure.openings, failure.why)
            paused = self._breaker.pause_for(failure.paused_until - now)
            if opened or paused:
                self._process_queue()
        if opened or paused:
            self._report_breaker()

    def _publish(self) -> None:
        """Tell other machines that this one does not call the provider for some time."""
        if self._record is None:
            return
        now = time.time()
        with _lock:
            breaker = self._breaker
            opened, paused = breaker.open_left, breaker.paused_left
            failure = SharedFailure(
                now + opened if opened else 0.0,
                now + paused if paused else 0.0,
                breaker.openings,
                breaker.reason,
            )
        self._record.publish(failure)

    # --- Calls ------------------------------------------------------------------------------------

    def _enter(self, exchange: Exchange) -> Generator[Wait, bool, Ticket]:
        with _lock:
            pause = self._breaker.pause()
            entered = "full" if pause is not None else self._bulkhead.enter(exchange)
            ticket = self._breaker.admit() if entered == "in" else None
        if pause is not None:
            raise self._rejection(exchange, pause.reason, pause.seconds)
        if isinstance(entered, WaitingCall):
            return (yield from self._wait(entered))
        if ticket is None:
            raise self._rejection(exchange, "full", self._retry_after)
        return ticket

    def _wait(self, call: WaitingCall) -> Generator[Wait, bool, Ticket]:
        """Wait in the queue, at most until the call's deadline."""
        deadline = call.exchange.deadline
        try:
            yield Wait(max(0.0, deadline.remaining()), until=call.outcome)
        except BaseException:
            # For example Ctrl-C: the call may have been admitted in the meantime.
            self._withdraw(call)
            raise
        if not call.outcome.done() or deadline.remaining() <= 0 or deadline.cancelled:
            self._withdraw(call)
            if deadline.cancelled:
                self._notify("load")
                raise FlowCancelledError(
                    "Cancelled by the caller; nothing was sent.",
                    evidence=replace(call.exchange.evidence(), attempts=0),
                )
            raise self._rejection(call.exchange, "deadline", self._retry_after)
        outcome = call.outcome.result()
        if isinstance(outcome, Pause):
            raise self._rejection(call.exchange, outcome.reason, outcome.seconds)
        return outcome

    def _withdraw(self, call: WaitingCall) -> None:
        with _lock:
            if call in self._bulkhead.queue:
                self._bulkhead.queue.remove(call)
            elif call.outcome.done() and isinstance(ticket := call.outcome.result(), Ticket):
                self._release(call.exchange, ticket, None, "")

    def _leave(self, exchange: Exchange, ticket: Ticket, failed: bool | None, code: str) -> None:
        exchange.on_refusal = None
        with _lock:
            before = self._breaker.openings
            self._release(exchange, ticket, failed, code)
            opened = self._breaker.openings > before
        if opened:
            self._publish()
        self._notify("load")
        self._report_breaker()

    def _release(self, exchange: Exchange, ticket: Ticket, failed: bool | None, code: str) -> None:
        """Record the outcome of a call, and admit the next ones. Requires the lock."""
        self._bulkhead.leave(exchange)
        self._breaker.record_outcome(ticket, failed, code)
        self._process_queue()

    def _process_queue(self) -> None:
        """Admit or reject waiting calls as far as possible. Requires the lock."""
        bulkhead = self._bulkhead
        if self._breaker.left:
            for running in bulkhead.running:
                running.most_attempts = 1
        while bulkhead.queue:
            pause = self._breaker.pause()
            if pause is None and not bulkhead.free:
                return
            call = bulkhead.queue.popleft()
            if pause is not None:
                call.outcome.set_result(pause)
            else:
                bulkhead.running.add(call.exchange)
                call.outcome.set_result(self._breaker.admit())

    def _apply_retry_after(self, seconds: float | None) -> None:
        """Apply the ``Retry-After`` of one response to all calls."""
        with _lock:
            extended = seconds is not None and self._breaker.pause_for(seconds)
            if extended:
                self._process_queue()
        if extended:
            self._publish()
            self._report_breaker()

    # --- Reporting --------------------------------------------------------------------------------

    def _rejection(
        self, exchange: Exchange, reason: ShedReason, wait: float
    ) -> ProviderPausedError:
        self._notify("shed", reason)
        return ProviderPausedError(
            f"Nothing was sent to {self.provider}: {_REASONS[reason]}. Retry in {wait:.1f} s.",
            retry_after=wait,
            evidence=replace(exchange.evidence(), attempts=0),
        )

    def _report_breaker(self) -> None:
        """Log the breaker's state and notify listeners, if it has changed since the last report."""
        state = self.state()
        with _lock:
            before, self._reported = self._reported, state.breaker
        if before != state.breaker:
            level = logging.INFO if state.breaker == "closed" else logging.WARNING
            _log.log(level, "%s: breaker %s: %s", self.provider, state.breaker, state.why or "-")
            self._notify("breaker")

    def _notify(self, kind: Literal["load", "breaker", "shed"], reason: str = "") -> None:
        if not self._listeners:
            return
        notice = Notice(kind, self.state(), reason)
        for listener in self._listeners:
            try:
                listener(notice)
            except Exception as error:  # noqa: BLE001 - a listener must not fail the call
                _log.warning(
                    "A listener of %s raised %s; the call continues.",
                    self.provider,
                    type(error).__name__,
                )


def _provider_failed(error: GrantwayError) -> bool | None:
    """Return whether the provider failed; None if the error does not show it."""
    if isinstance(error, ProviderUnavailableError) and error.retry_after is not None:
        return None  # the pause for Retry-After already protects the provider
    if isinstance(
        error, (TransportError, InternalServerException, TemporarilyUnavailableError)
    ) or (isinstance(error, UnknownTokenError) and (error.evidence.status or 0) >= SERVER_FAULT):
        return True
    return False if isinstance(error, TokenError) else None


def _after_fork() -> None:
    # The child has none of its parent's threads, so inherited calls would never end.
    for protection in _all:
        protection.forget_calls()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)
