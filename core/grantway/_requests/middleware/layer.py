"""Enforce the contract of middleware."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from grantway._exceptions import GrantwayError, PluginError
from grantway._requests.exchange import Exchange
from grantway._types.callables import is_unfinished, kind_of
from grantway._types.token import Token
from grantway._wire.provider_response import ProviderResponse

if TYPE_CHECKING:
    from . import Middleware, Next


class Layer:
    """Runs one middleware and reports violations of its contract.

    Args:
        middleware: The middleware.
        plugin: The owner of the middleware, for errors.
        may_repeat: Returns whether a request may be sent again after this many seconds.
    """

    def __init__(
        self,
        middleware: Middleware,
        plugin: str,
        may_repeat: Callable[[Exchange, float], bool],
    ) -> None:
        self._middleware = middleware
        self._plugin = plugin
        self.may_repeat = may_repeat

    def __call__(self, exchange: Exchange, call_next: Next) -> ProviderResponse:
        """Run the middleware around the rest of the chain.

        Raises:
            PluginError: the middleware repeats an unsafe request, returns an invalid response, or
                raises anything but a ``GrantwayError`` after a token was issued.
        """
        inner = _Inner(call_next, self, exchange)
        try:
            response: object = self._middleware(exchange, inner)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            if exchange.received is None or error is inner.raised:
                raise
            what = f"raised {type(error).__name__} after the provider had issued a token"
            failed = self.error(what, inner)
            if isinstance(error, GrantwayError):  # the middleware rejected the token
                error.add_note(failed.message)
                raise
            raise failed from error
        if is_unfinished(response):
            raise self.error("is asynchronous; grantway calls middleware synchronously", inner)
        if not isinstance(response, ProviderResponse):
            raise self.error(f"returned {kind_of(response)}; return what call_next returns", inner)
        if exchange.grant is not None and not isinstance(response.token, Token):
            raise self.error(
                "returned a ProviderResponse without a token; set its token to a "
                "grantway.Token, or return what call_next returns",
                inner,
            )
        return response

    def error(self, broken: str, inner: _Inner) -> PluginError:
        """Return the error for a contract violation, with the token that was issued before."""
        name = getattr(self._middleware, "__qualname__", type(self._middleware).__name__)
        return PluginError(
            f"The middleware {name} ({self._plugin}) {broken}.",
            plugin=self._plugin,
            token=inner.token,
        )


class _Inner:
    """The ``call_next`` of one middleware for one call."""

    __slots__ = ("_call_next", "_given", "_layer", "_passed", "raised", "token")

    def __init__(self, call_next: Next, layer: Layer, given: Exchange) -> None:
        self._call_next = call_next
        self._layer = layer
        self._given = given
        self._passed: list[Exchange] = []
        self.token: Token | None = None
        #: The last exception of the rest of the chain, which is not the fault of the middleware.
        self.raised: BaseException | None = None

    def __call__(self, exchange: Exchange) -> ProviderResponse:
        """Run the rest of the chain; repeat it only if a second send is safe."""
        given: Any = exchange
        if not isinstance(given, Exchange):
            raise self._layer.error(f"gave call_next {kind_of(given)}, not the exchange", self)
        for before in self._passed:
            if (
                before.effective_at is not None
                and before.grant_type == exchange.grant_type
                and not self._layer.may_repeat(exchange, time.monotonic() - before.effective_at)
            ):
                raise self._layer.error(
                    f"called call_next again after the request for {exchange.grant_type} had been "
                    f"sent, and a second send is not safe "
                    f"({exchange.grant and exchange.grant.replay}); call it once, and return its "
                    "response",
                    self,
                )
        self._passed.append(exchange)
        try:
            response = self._call_next(exchange)
        except BaseException as error:
            self.raised = error
            raise
        finally:
            # Middleware may pass a copy of the exchange, so copy its token back.
            self._given.received = exchange.received or self._given.received
        self.token = response.token or self.token
        return response
