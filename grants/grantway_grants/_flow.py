"""The steps of a login, without I/O, and the two drivers that perform them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from grantway._exceptions import ConfigurationError
from grantway._processes.driving import drive, drive_async
from grantway._requests.driver import wait
from grantway._requests.steps import Wait
from grantway._transport.deadline import Deadline
from grantway._types.callables import is_unfinished

if TYPE_CHECKING:
    import threading

    from grantway._requests.client import Client

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class TokenCall:
    """Request a token with these arguments of ``Client.create_token``, and receive it."""

    arguments: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class EndpointCall:
    """Call an endpoint with these arguments of ``Client.call``, and receive its response."""

    step: str
    arguments: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Callback:
    """Call a function of the program, and receive its result.

    Attributes:
        name: The argument that it was passed as, for errors.
        function: The function. It may be asynchronous if the flow is.
        argument: Its argument.
    """

    name: str
    function: Callable[[Any], object]
    argument: Any = field(repr=False)


Step = TokenCall | EndpointCall | Callback | Wait
#: Yields steps, and receives their results or has their errors thrown in. A ``Wait`` results in
#: whether the caller cancelled the flow.
Flow = Generator[Step, Any, Result]


def run(flow: Flow[Result], client: Client, cancel: threading.Event | None = None) -> Result:
    """Perform a flow in the calling thread, and return its result."""
    return drive(flow, partial(_perform, client=client, cancel=cancel))


def _perform(step: Step, client: Client, cancel: threading.Event | None) -> object:
    match step:
        case TokenCall(arguments):
            return client.create_token(cancel=cancel, **arguments)
        case EndpointCall(endpoint, arguments):
            return client.call(endpoint, cancel=cancel, **arguments)
        case Wait(seconds, until):
            return Deadline(seconds, cancel).wait(seconds, until)
        case Callback():  # binds no name to the argument, which tracebacks could show
            result = step.function(step.argument)
            if is_unfinished(result):
                raise ConfigurationError(
                    f"{step.name}: is asynchronous; pass a plain function, or use the method or "
                    "function whose name ends in _async."
                )
            return result


async def run_async(flow: Flow[Result], client: Client) -> Result:
    """Perform a flow in the running event loop, and return its result."""
    return await drive_async(flow, partial(_perform_async, client=client))


async def _perform_async(step: Step, client: Client) -> object:
    match step:
        case TokenCall(arguments):
            return await client.create_token_async(**arguments)
        case EndpointCall(endpoint, arguments):
            return await client.call_async(endpoint, **arguments)
        case Wait(seconds):
            return await wait(step, Deadline(seconds))
        case Callback():
            result = step.function(step.argument)
            return await result if inspect.isawaitable(result) else result
