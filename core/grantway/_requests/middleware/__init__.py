"""Middleware: callables ``(exchange, call_next) -> response`` around every call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from grantway._requests.exchange import Exchange
    from grantway._wire.dialect import ProviderResponse

    Next = Callable[[Exchange], ProviderResponse]
    Middleware = Callable[[Exchange, Next], ProviderResponse]


def compose(layers: Sequence[Middleware], bottom: Next) -> Next:
    """Compose middleware into one callable; the first one runs outermost."""
    chain = bottom
    for layer in reversed(layers):
        chain = _link(layer, chain)
    return chain


def _link(layer: Middleware, call_next: Next) -> Next:
    def step(exchange: Exchange) -> ProviderResponse:
        return layer(exchange, call_next)

    return step
