"""One attempt of an exchange as a generator, without I/O."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from grantway._exceptions import Attempt, TransportError

from .incoming_response import learn, process_response
from .outgoing_request import prepare_request
from .retry import Outcome, RetryRules

if TYPE_CHECKING:
    from grantway._transport.http import HttpResponse
    from grantway._wire.provider_response import ProviderResponse

    from .exchange import Exchange
    from .provider import Provider
    from .steps import Steps


class AttemptResult(NamedTuple):
    """One attempt.

    Attributes:
        response_or_error: The response, or the error of the transport.
        outcome: The outcome of the send.
        reason: The status or code, for events.
        milliseconds: Its duration.
    """

    response_or_error: ProviderResponse | TransportError
    outcome: Outcome
    reason: str
    milliseconds: float

    @property
    def status(self) -> int | None:
        """The HTTP status, or None."""
        result = self.response_or_error
        return result.evidence.status if isinstance(result, TransportError) else result.status

    @property
    def retry_after(self) -> float | None:
        """Seconds of the Retry-After header, or None."""
        return (
            None
            if isinstance(self.response_or_error, TransportError)
            else self.response_or_error.retry_after
        )

    def response(self) -> ProviderResponse:
        """Return the response, or raise the error of the transport."""
        if isinstance(self.response_or_error, TransportError):
            raise self.response_or_error
        return self.response_or_error

    def report(self, exchange: Exchange, wait: float | None) -> None:
        """Emit the events of the attempt, and add it to the history of a call that is retried.

        Args:
            exchange: The call.
            wait: Seconds until the next attempt, or None if there is none.
        """
        final = self.outcome is Outcome.FINAL
        reason = self.outcome.value if final else self.reason
        if exchange.emit is not None:
            event = partial(exchange.event, outcome=reason, status=self.status)
            exchange.emit(event("attempt", self.milliseconds))
            if wait is not None:
                exchange.emit(event("retry", self.milliseconds, wait=wait))
        if not final or exchange.history:
            exchange.history.append(
                Attempt(self.outcome.value, self.reason, self.status, self.milliseconds, wait)
            )


def attempt(
    exchange: Exchange,
    provider: Provider,
    rules: RetryRules,
    lost: AttemptResult | None,
) -> Steps[AttemptResult]:
    """Send the request once and judge the outcome. Yields and receives as ``attempts`` does.

    Args:
        exchange: The request.
        provider: The provider.
        rules: Judge the outcome.
        lost: An earlier attempt whose outcome is unknown, or None.
    """
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
        result, outcome, reason = lost.response_or_error, Outcome.FINAL, type(error).__name__
    if outcome in {Outcome.NEVER_SENT, Outcome.REFUSED}:
        exchange.effective_at = before
    milliseconds = (time.monotonic() - began) * 1000
    finished = AttemptResult(result, outcome, reason, milliseconds)
    if outcome is Outcome.REFUSED and exchange.on_refusal is not None:
        exchange.on_refusal(finished.retry_after)
    return finished


def _send(exchange: Exchange, provider: Provider) -> Steps[ProviderResponse]:
    """Send the request, and once more with another nonce or secret if the provider rejects it."""
    response, again = yield from _send_once(exchange, provider)
    if not again and exchange.fetched:
        from .secret_sources import renew  # noqa: PLC0415 - few calls have a source

        again = yield from renew(exchange, response)
    if again:
        response, _ = yield from _send_once(exchange, provider)
    return response


def _send_once(exchange: Exchange, provider: Provider) -> Steps[tuple[ProviderResponse, bool]]:
    if sources := exchange.secret_sources():
        from .secret_sources import fetch  # noqa: PLC0415 - few calls have a source

        yield from fetch(sources, exchange.deadline)
        exchange.fetched = {source: source() for _, source in sources}
    outgoing, request = prepare_request(exchange, provider)
    for source in exchange.fetched:
        source.sent()
    exchange.attempts += 1
    exchange.sent_at = time.time()
    received: HttpResponse = yield request
    response = process_response(exchange, received)
    return response, outgoing.learn is not None and learn(exchange, outgoing, response)
