"""Perform the attempts of an exchange with a blocking transport."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .attempts import Wait, attempts

if TYPE_CHECKING:
    from grantway._transport.http import Transport
    from grantway._wire.provider_response import ProviderResponse

    from .error_mapping import ErrorMapping
    from .exchange import Exchange
    from .provider import Provider
    from .retry import RetryRules


class Sender:
    """Sends requests and waits between them: the innermost callable inside all middleware.

    Args:
        transport: Sends the requests.
        provider: The provider.
        rules: Decide on retries.
        errors: Map responses to exceptions.
    """

    def __init__(
        self, transport: Transport, provider: Provider, rules: RetryRules, errors: ErrorMapping
    ) -> None:
        self._transport = transport
        self._provider = provider
        self._rules = rules
        self._errors = errors

    def __call__(self, exchange: Exchange) -> ProviderResponse:
        """Return the successful response; raise an exception for any other outcome."""
        steps = attempts(exchange, self._provider, self._rules, self._errors)
        deadline = exchange.deadline
        try:
            step = next(steps)
            while True:
                if isinstance(step, Wait):
                    step = steps.send(deadline.wait(step.seconds))
                    continue
                try:
                    response = self._transport.send(step, deadline)
                except BaseException as error:  # noqa: BLE001 - raised again in the generator
                    failure = error
                else:
                    step = steps.send(response)
                    continue
                # Outside the except block, so that it does not become the context of other errors.
                step = steps.throw(failure)
        except StopIteration as done:
            result: ProviderResponse = done.value
            return result
