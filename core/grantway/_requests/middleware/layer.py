"""Enforce the contract of middleware."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from grantway._exceptions import GrantwayError, PluginError
from grantway._requests.exchange import Exchange
from grantway._requests.steps import Wait
from grantway._types.callables import is_unfinished, kind_of
from grantway._types.token import Token
from grantway._wire.provider_response import ProviderResponse

from .contract import how_to_write, name_of

if TYPE_CHECKING:
    from grantway._requests.steps import Steps

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

    def __call__(self, exchange: Exchange, call_next: Next) -> Steps[ProviderResponse]:
        """Run the middleware around the rest of the chain.

        Raises:
            PluginError: the middleware repeats an unsafe request, returns an invalid response, or
                raises anything but a ``GrantwayError`` after a token was issued.
        """
        inner = _Inner(call_next, self, exchange)
        try:
            response = yield from inner.run(self._middleware)
        except (KeyboardInterrupt, GeneratorExit):
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
        finally:
            inner.raised = None  # its traceback refers to this frame
        if not isinstance(response, ProviderResponse):
            raise self.error(f"returned {kind_of(response)}; return what yield returns", inner)
        if exchange.grant is not None and not isinstance(response.token, Token):
            raise self.error(
                "returned a ProviderResponse without a token; set its token to a "
                "grantway.Token, or return what yield returns",
                inner,
            )
        return response

    def error(self, broken: str, inner: _Inner) -> PluginError:
        """Return the error for a contract violation, with the token that was issued before."""
        return PluginError(
            f"The middleware {name_of(self._middleware)} ({self._plugin}) {broken}.",
            plugin=self._plugin,
            token=inner.token,
        )


class _Inner:
    """The rest of the chain below one middleware, for one call."""

    __slots__ = ("_call_next", "_given", "_layer", "_passed", "raised", "token")

    def __init__(self, call_next: Next, layer: Layer, given: Exchange) -> None:
        self._call_next = call_next
        self._layer = layer
        self._given = given
        self._passed: list[Exchange] = []
        self.token: Token | None = None
        #: The last exception of the rest of the chain, which is not the fault of the middleware.
        self.raised: BaseException | None = None

    def run(self, middleware: Middleware) -> Steps[object]:
        """Do what a middleware yields, and return its result.

        Middleware cannot swallow an exception such as ``CancelledError`` or ``KeyboardInterrupt``:
        it may clean up, and the exception then propagates.
        """
        generator = self._started(middleware)
        try:
            step = next(generator)
            while True:
                try:
                    received: ProviderResponse | bool = (
                        (yield step) if isinstance(step, Wait) else (yield from self._next(step))
                    )
                except BaseException as error:  # noqa: BLE001 - raised again in the middleware
                    self.raised = failure = error
                else:
                    step = generator.send(received)
                    continue
                try:
                    step = _throw(generator, failure)
                finally:
                    del failure  # its traceback refers to this frame
        except StopIteration as done:
            returned: object = done.value
            return returned

    def _started(self, middleware: Middleware) -> Generator[Any, Any, object]:
        generator: object = middleware(self._given)
        if isinstance(generator, Generator):
            return generator
        is_unfinished(generator)  # closes a coroutine
        raise self._layer.error(
            f"returned {kind_of(generator)} instead of a generator; {how_to_write(middleware)}",
            self,
        )

    def _next(self, exchange: Exchange) -> Steps[ProviderResponse]:
        """Run the rest of the chain; repeat it only if a second send is safe."""
        given: Any = exchange
        if not isinstance(given, Exchange):
            raise self._layer.error(
                f"yielded {kind_of(given)}, not the exchange or a grantway.Wait", self
            )
        for before in self._passed:
            if (
                before.effective_at is not None
                and before.grant_type == exchange.grant_type
                and not self._layer.may_repeat(exchange, time.monotonic() - before.effective_at)
            ):
                raise self._layer.error(
                    f"yielded the exchange again after the request for {exchange.grant_type} had "
                    f"been sent, and a second send is not safe "
                    f"({exchange.grant and exchange.grant.replay}); yield it once, and return its "
                    "response",
                    self,
                )
        self._passed.append(exchange)
        try:
            response = yield from self._call_next(exchange)
        finally:
            # Middleware may pass a copy of the exchange, so copy its token back.
            self._given.received = exchange.received or self._given.received
        self.token = response.token or self.token
        return response


def _throw(middleware: Generator[Any, Any, object], failure: BaseException) -> Any:
    """Raise an exception in a middleware, and return what it yields next."""
    try:
        if isinstance(failure, Exception):
            return middleware.throw(failure)
        with contextlib.suppress(StopIteration):
            middleware.throw(failure)
        middleware.close()
        raise failure
    finally:
        del failure
