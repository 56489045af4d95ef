"""Middleware: callables ``(exchange, call_next) -> response`` around every call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from grantway._requests.exchange import Exchange
    from grantway._wire.provider_response import ProviderResponse

    Next = Callable[[Exchange], ProviderResponse]
    Middleware = Callable[[Exchange, Next], ProviderResponse]


class _Link(Protocol):
    def __call__(self, exchange: Exchange, call_next: Next) -> ProviderResponse: ...


def compose(layers: Sequence[_Link], innermost: Next) -> Next:
    """Compose middleware into one callable; the first one runs outermost."""
    chain = innermost
    for layer in reversed(layers):
        chain = partial(layer, call_next=chain)
    return chain
