"""One middleware of a plugin or a client, held to the contract of middleware."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from grantway._exceptions import GrantwayError, PluginError
from grantway._requests.exchange import Exchange
from grantway._types.callables import is_unfinished, kind_of
from grantway._types.token import Token
from grantway._wire.dialect import ProviderResponse

if TYPE_CHECKING:
    from . import Middleware, Next


class Layer:
    """Runs a middleware, and names its plugin where it breaks the contract.

    Args:
        middleware: The middleware.
        plugin: Whose it is, for errors.
        may_repeat: Whether a request may be sent again, so many seconds after it was sent.
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
            PluginError: it sends again what must not be sent twice, returns no usable answer, or
                raises something other than a ``GrantwayError`` once a token has come.
        """
        inner = _Inner(call_next, self, exchange)
        try:
            answer: object = self._middleware(exchange, inner)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            if exchange.received is None or error is inner.raised:
                raise
            what = f"raised {type(error).__name__} after the provider had issued a token"
            failed = self.error(what, inner)
            if isinstance(error, GrantwayError):  # a verdict on the token
                error.add_note(failed.message)
                raise
            raise failed from error
        if is_unfinished(answer):
            raise self.error("is asynchronous; grantway calls middleware synchronously", inner)
        if not isinstance(answer, ProviderResponse):
            raise self.error(f"returned {kind_of(answer)}; return what call_next returns", inner)
        if exchange.grant is not None and not isinstance(answer.token, Token):
            raise self.error(
                "returned an Answer without a token; set Answer.token to a grantway.Token, or "
                "return what call_next returns",
                inner,
            )
        return answer

    def error(self, broken: str, inner: _Inner) -> PluginError:
        """The error for a broken contract; carries the token that arrived before."""
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
        #: What the rest of the chain raised last; the middleware that lets it pass is not at fault.
        self.raised: BaseException | None = None

    def __call__(self, exchange: Exchange) -> ProviderResponse:
        """Run the rest of the chain; a second time only where a second send does no harm."""
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
                    f"sent, and a second send does harm ({exchange.grant and exchange.grant.replay}"
                    "); call it once, and return its answer",
                    self,
                )
        self._passed.append(exchange)
        try:
            answer = self._call_next(exchange)
        except BaseException as error:
            self.raised = error
            raise
        finally:
            # Middleware may pass on a copy of the exchange, and the token must not stay there.
            self._given.received = exchange.received or self._given.received
        self.token = answer.token or self.token
        return answer
