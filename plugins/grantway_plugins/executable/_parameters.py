"""Middleware that lets a program add the parameters of token requests."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, TypeVar

from grantway._exceptions import FlowCancelledError
from grantway._plugins.grant_rules import RESERVED
from grantway._processes.threads import CallThread
from grantway._requests.steps import Wait
from grantway._secrets.hidden_arguments import hides_arguments
from grantway._secrets.params import Params
from grantway._secrets.redaction import texts

from ._command import Command
from ._errors import secret_values
from ._failures import error_of, raise_error
from ._protocol import ask

if TYPE_CHECKING:
    from grantway._requests.exchange import Exchange
    from grantway._requests.middleware import Middleware
    from grantway._wire.provider_response import ProviderResponse

Result = TypeVar("Result")


def executable_parameters(command: Command, grant_type: str) -> Middleware:
    """Return middleware that lets a program complete the requests of one grant.

    The program gets the checked parameters, the ``client_id`` and the provider's addresses, and
    returns parameters that are added before grantway authenticates the client and sends the
    request. It runs once for each call, in a thread, so that event loops are not blocked.

    ::

        Client(provider, client_id="my-client", middleware=[executable_parameters(command, "...")])

    Args:
        command: The program.
        grant_type: The grant whose requests it completes.
    """

    def complete_parameters(
        exchange: Exchange,
    ) -> Generator[Exchange | Wait, Any, ProviderResponse]:
        if exchange.grant_type == grant_type:
            added = yield from _in_background(exchange, command, lambda: _ask(command, exchange))
            exchange.params.update(added)
            exchange.earlier_secrets += tuple(
                text for value in added.values() for text in texts(value)
            )
        response: ProviderResponse = yield exchange
        return response

    return complete_parameters


@hides_arguments
def _ask(command: Command, exchange: Exchange) -> Params:
    grant = exchange.grant
    assert grant is not None
    params = Params(grant.names.on_wire(exchange.params))
    if isinstance(scope := params.get("scope"), (list, tuple)):
        params["scope"] = " ".join(scope)
    secrets = [*exchange.secrets(), *secret_values(params)]
    request = {
        "grant_type": grant.grant_type,
        "parameters": params,
        "client_id": exchange.client.client_id,
        "token_endpoint": exchange.url,
    }
    reply = ask(command, "parameters", request, secrets, exchange.deadline.remaining())
    if reply.error is not None:
        raise_error(command, reply.error, secrets)
    added = reply.result or Params()
    problem = reply.failure or _problem(added)
    if problem:
        raise error_of(command, f"{problem}; nothing was sent")
    return added


def _problem(added: Params) -> str:
    """Return what is wrong with the parameters of a program, without their values."""
    for name, value in added.items():
        if name in RESERVED:
            return f"returned the parameter {name!a:.80}, which grantway sets"
        if not isinstance(value, (str, list)) or not all(isinstance(each, str) for each in value):
            return f"returned a parameter {name!a:.80} that is neither text nor a list of texts"
    return ""


def _in_background(
    exchange: Exchange, command: Command, function: Callable[[], Result]
) -> Generator[Wait, bool, Result]:
    """Call a function in a thread, and wait for it without blocking an event loop."""
    with CallThread() as thread:
        future = thread.submit(function)
    while not future.done():
        if (yield Wait(math.inf, until=future)):
            raise FlowCancelledError(
                "Cancelled by the caller; nothing was sent.", evidence=exchange.evidence()
            )
        if exchange.deadline.remaining() <= 0 and not future.done():
            raise error_of(
                command, "did not finish within the timeout of the call; nothing was sent"
            )
    return future.result()
