"""The attempts of one exchange as a generator, without I/O.

The generator yields the requests to send and the waits between them. ``driver`` performs
both, in a thread or in an event loop.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from grantway._exceptions import FlowCancelledError, TransportError

from .attempt import AttemptResult, attempt
from .retry import Outcome, RetryRules
from .steps import Wait

if TYPE_CHECKING:
    from collections.abc import Mapping

    from grantway._exceptions import TokenError
    from grantway._wire.provider_response import ProviderResponse

    from .error_mapping import ErrorMapping
    from .exchange import Exchange
    from .provider import Provider
    from .steps import Steps


def attempts(
    exchange: Exchange,
    provider: Provider,
    rules: RetryRules,
    errors: Mapping[str, type[TokenError]],
) -> Steps[ProviderResponse]:
    """Send the request, retry while the rules allow it, and return the successful response.

    Raises:
        TokenError: the provider returned an error.
        TransportError: there was no usable response.
        FlowCancelledError: the caller cancelled before the first send or during a wait.
    """
    try:
        response = yield from _with_retries(exchange, provider, rules)
    except TransportError as error:
        _mapping(errors).describe(exchange, error)
        raise
    if response.error is not None or response.problem is not None:
        raise _mapping(errors).error_for(exchange, response)
    return response


def _mapping(errors: Mapping[str, type[TokenError]]) -> ErrorMapping:
    from .error_mapping import ErrorMapping  # noqa: PLC0415 - only failures need it

    return ErrorMapping(errors)


def _with_retries(
    exchange: Exchange, provider: Provider, rules: RetryRules
) -> Steps[ProviderResponse]:
    if exchange.deadline.cancelled:
        raise _cancelled(exchange)
    began = time.monotonic()
    # The first attempt whose outcome is unknown. A later attempt that was not processed does not
    # reveal that outcome.
    lost: AttemptResult | None = None
    while True:
        latest = yield from attempt(exchange, provider, rules, lost)
        if latest.outcome is Outcome.FINAL:
            latest.report(exchange, None)
            return latest.response()
        if latest.outcome is Outcome.UNKNOWN and lost is None:
            lost = latest
        elapsed = time.monotonic() - began
        wait = rules.delay(
            exchange, latest.outcome, latest.retry_after, elapsed, unknown=lost is not None
        )
        latest.report(exchange, wait)
        if wait is None:
            return (lost or latest).response()
        cancelled = yield Wait(wait)
        if cancelled and lost is None:
            raise _cancelled(exchange)
        if cancelled or rules.exhausted(exchange):  # middleware may lower the limit meanwhile
            return (lost or latest).response()


def _cancelled(exchange: Exchange) -> FlowCancelledError:
    return FlowCancelledError(
        "Cancelled by the caller before another attempt; no earlier attempt was processed."
        if exchange.attempts
        else "Cancelled by the caller; nothing was sent.",
        evidence=exchange.evidence(),
    )
