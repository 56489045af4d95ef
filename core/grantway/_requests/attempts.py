"""The attempts of one exchange as a generator, without I/O.

The generator yields the requests to send and the waits between them, and a driver performs both:
``sender.Sender`` with a blocking transport. An asynchronous driver needs no other rules.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from grantway._exceptions import Attempt, FlowCancelledError, GrantwayError, TransportError
from grantway._transport.http import HttpRequest, HttpResponse

from .outgoing_request import prepare, process, wants_retry
from .retry import Outcome, RetryRules

if TYPE_CHECKING:
    from grantway._wire.dialect import ProviderResponse

    from .error_mapping import ErrorMapping
    from .exchange import Exchange
    from .provider import Provider


@dataclass(frozen=True, slots=True)
class Wait:
    """A wait before the next attempt.

    Attributes:
        seconds: Its duration.
    """

    seconds: float


#: Yields a request, to receive its ``HttpResponse`` or have its ``TransportError`` thrown in, or a
#: ``Wait``, to receive whether the caller cancelled it. Returns the response.
Steps = Generator[HttpRequest | Wait, Any, "ProviderResponse"]


def attempts(
    exchange: Exchange, provider: Provider, rules: RetryRules, errors: ErrorMapping
) -> Steps:
    """Send the request, retry while the rules allow it, and return the successful response.

    Raises:
        TokenError: the provider returned an error.
        TransportError: there was no usable response.
        FlowCancelledError: the caller cancelled before the first send or during a wait.
    """
    try:
        response = yield from _with_retries(exchange, provider, rules)
    except TransportError as error:
        errors.describe(exchange, error)
        raise
    if response.error is not None or response.problem is not None:
        raise errors.error_for(exchange, response)
    return response


def _with_retries(exchange: Exchange, provider: Provider, rules: RetryRules) -> Steps:
    if exchange.deadline.cancelled:
        raise _cancelled(exchange)
    began = time.monotonic()
    # The first result whose outcome is unknown. A later attempt that was not processed does not
    # reveal that outcome.
    lost: ProviderResponse | TransportError | None = None
    while True:
        attempt = yield from _attempt(exchange, provider, rules, lost)
        result = attempt.result
        if attempt.outcome is Outcome.UNKNOWN and lost is None:
            lost = result
        if attempt.outcome is Outcome.REFUSED and exchange.on_refusal is not None:
            exchange.on_refusal(attempt.retry_after)
        elapsed = time.monotonic() - began
        wait = rules.delay(
            exchange, attempt.outcome, attempt.retry_after, elapsed, unknown=lost is not None
        )
        attempt.emit(exchange, "attempt")
        if attempt.outcome is not Outcome.FINAL or exchange.history:
            exchange.history.append(attempt.record(wait))
        if wait is None:
            return _returned(result if attempt.outcome is Outcome.FINAL else lost or result)
        attempt.emit(exchange, "retry", wait)
        cancelled = yield Wait(wait)
        if cancelled:
            return _returned(lost or _cancelled(exchange))
        if rules.exhausted(exchange):  # middleware lowered the limit during the wait
            return _returned(lost or result)


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One attempt.

    Attributes:
        result: The response, or the error of the transport.
        outcome: Its outcome.
        reason: The status or code, for events.
        milliseconds: Its duration.
    """

    result: ProviderResponse | TransportError
    outcome: Outcome
    reason: str
    milliseconds: float

    @property
    def status(self) -> int | None:
        """The HTTP status, or None."""
        result = self.result
        return result.evidence.status if isinstance(result, TransportError) else result.status

    @property
    def retry_after(self) -> float | None:
        """Seconds of the Retry-After header, or None."""
        return None if isinstance(self.result, TransportError) else self.result.retry_after

    def record(self, wait: float | None) -> Attempt:
        """Return the attempt for the history in an error's evidence."""
        return Attempt(self.outcome.value, self.reason, self.status, self.milliseconds, wait)

    def emit(
        self, exchange: Exchange, kind: Literal["attempt", "retry"], wait: float = 0.0
    ) -> None:
        """Emit an event about the attempt, if there are observers."""
        if exchange.emit is None:
            return
        outcome = self.outcome.value if self.outcome is Outcome.FINAL else self.reason
        exchange.emit(
            exchange.event(kind, self.milliseconds, outcome=outcome, wait=wait, status=self.status)
        )


def _attempt(
    exchange: Exchange,
    provider: Provider,
    rules: RetryRules,
    lost: ProviderResponse | TransportError | None,
) -> Generator[HttpRequest | Wait, Any, _Attempt]:
    began, sends, before = time.monotonic(), exchange.attempts, exchange.effective_at
    if before is None:
        exchange.effective_at = began  # reset if the provider did not process it
    result: ProviderResponse | TransportError
    try:
        result = yield from _send(exchange, provider)
        outcome, reason = rules.outcome(exchange, result), f"status {result.status}"
    except TransportError as error:
        result, reason = error, error.code
        outcome = rules.outcome_of_failure(exchange, error)
    except BaseException as error:
        if exchange.attempts > sends:
            raise
        exchange.effective_at = before
        if lost is None or not isinstance(error, Exception):
            raise
        # The retry was not sent, so the outcome of the first send stays unknown.
        result, outcome, reason = lost, Outcome.FINAL, type(error).__name__
    if outcome in {Outcome.NEVER_SENT, Outcome.REFUSED}:
        exchange.effective_at = before
    return _Attempt(result, outcome, reason, (time.monotonic() - began) * 1000)


def _send(exchange: Exchange, provider: Provider) -> Steps:
    """Send the request, and once more if the client authentication asks for it."""
    response, again = yield from _send_once(exchange, provider)
    if again:
        response, _ = yield from _send_once(exchange, provider)
    return response


def _send_once(
    exchange: Exchange, provider: Provider
) -> Generator[HttpRequest | Wait, Any, tuple[ProviderResponse, bool]]:
    outgoing, request = prepare(exchange, provider)
    exchange.attempts += 1
    exchange.sent_at = time.time()
    received: HttpResponse = yield request
    response = process(exchange, received)
    return response, wants_retry(exchange, outgoing, response)


def _returned(result: ProviderResponse | GrantwayError) -> ProviderResponse:
    if isinstance(result, GrantwayError):
        raise result
    return result


def _cancelled(exchange: Exchange) -> FlowCancelledError:
    return FlowCancelledError(
        "Cancelled by the caller before another attempt; no earlier attempt was processed."
        if exchange.attempts
        else "Cancelled by the caller; nothing was sent.",
        evidence=exchange.evidence(),
    )
