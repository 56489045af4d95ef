"""Middleware: generator functions of the exchange around every call."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from grantway._requests.steps import Wait

if TYPE_CHECKING:
    from grantway._requests.exchange import Exchange
    from grantway._requests.steps import Steps
    from grantway._wire.provider_response import ProviderResponse

    Next = Callable[[Exchange], Steps[ProviderResponse]]

#: Yields the exchange, to receive the response of the rest of the chain or have its error thrown
#: in, or a ``Wait``. Returns the response.
Middleware = Callable[["Exchange"], Generator["Exchange | Wait", Any, "ProviderResponse"]]


class _Link(Protocol):
    def __call__(self, exchange: Exchange, call_next: Next) -> Steps[ProviderResponse]: ...


def compose(layers: Sequence[_Link], innermost: Next) -> Next:
    """Compose middleware into one function; the first one runs outermost."""
    chain = innermost
    for layer in reversed(layers):
        chain = partial(layer, call_next=chain)
    return chain
