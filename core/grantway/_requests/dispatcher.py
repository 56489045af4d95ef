"""Dispatch a request: check it against its grant, run the middleware, and process the token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from grantway._exceptions import GrantwayError, PluginError
from grantway._types.callables import is_unfinished, kind_of
from grantway._types.plugin_status import APPLICATION
from grantway._types.token import Token

from .attempts import attempts as attempts_of
from .computed_parameters import Sources, sources_for_call, sources_in
from .driver import run, run_async
from .exchange import Exchange
from .middleware import compose
from .middleware.observe import Observe
from .parameters import load, load_untyped, with_resource
from .provider import Provider, require_dialect
from .retry import RetryPolicy, RetryRules

if TYPE_CHECKING:
    from grantway._plugins.registry import Registry
    from grantway._secrets.params import Params
    from grantway._transport.deadline import Deadline
    from grantway._transport.http import Transport
    from grantway._types.grant import Grant
    from grantway._wire.provider_response import ProviderResponse

    from .client_auth import ClientAuth
    from .middleware import Middleware, Next
    from .steps import Steps


class Dispatcher:
    """Sends requests to one provider with the grants of one registry. Thread-safe.

    Args:
        registry: The source of grants, dialects and middleware.
        provider: The provider.
        transport: Sends the requests.
        retry: A retry policy, or other rules for retries.
        middleware: Additional middleware, inside the registry's.

    Attributes:
        observe: Reports events to the registry's observers.
    """

    def __init__(
        self,
        registry: Registry,
        provider: Provider,
        transport: Transport,
        retry: RetryPolicy | RetryRules,
        middleware: Sequence[Middleware] = (),
    ) -> None:
        self.registry = registry
        self.provider = provider
        self.dialect = require_dialect(provider.dialect, registry.dialects)
        self.observe = Observe(registry.observers)
        self._transport = transport
        self._host = provider.host
        self._token_endpoint = provider.token_endpoint
        self._resource = provider.resource
        rules = retry if isinstance(retry, RetryRules) else RetryRules(retry, registry.errors)
        self._chain: Next = partial(
            attempts_of, provider=provider, rules=rules, errors=registry.errors
        )
        if registry.middleware or middleware:
            from .middleware.layer import Layer  # noqa: PLC0415 - few clients have middleware

            owners = [plugin.named for plugin in registry.origins.middleware]
            owners += [APPLICATION] * len(middleware)
            owned = zip([*registry.middleware, *middleware], owners, strict=True)
            layers = [Layer(each, owner, rules.may_repeat) for each, owner in owned]
            self._chain = compose(layers, self._chain)
        self._observed_chain = compose([self.observe], self._chain)

    def token(
        self,
        grant: Grant,
        params: Mapping[str, Any],
        client: ClientAuth,
        deadline: Deadline,
        extra: Mapping[str, Any] | None = None,
        *,
        attempts: int | None = None,
    ) -> tuple[Token, ProviderResponse]:
        """Request a token. Return it with the response that contained it.

        An exception raised after the provider issued a token carries that token as ``token``.

        Args:
            grant: The grant.
            params: The grant's parameters.
            client: The client authentication.
            deadline: The deadline of the whole call.
            extra: Provider-specific parameters.
            attempts: Maximum number of sends; by default the retry policy's.

        Raises:
            RequestInvalidError: the parameters violate the grant's schema; nothing was sent.
            TokenError: the provider returned an error.
            TransportError: there was no usable response.
            PluginError: a plugin's code broke its contract.
        """
        steps = self._token(grant, params, client, deadline, extra, attempts=attempts)
        return run(steps, self._transport, deadline)

    async def token_async(
        self,
        grant: Grant,
        params: Mapping[str, Any],
        client: ClientAuth,
        deadline: Deadline,
        extra: Mapping[str, Any] | None = None,
        *,
        attempts: int | None = None,
    ) -> tuple[Token, ProviderResponse]:
        """Request a token without blocking the event loop; see ``token``."""
        steps = self._token(grant, params, client, deadline, extra, attempts=attempts)
        return await run_async(steps, self._transport, deadline)

    def call(
        self, step: str, params: Mapping[str, Any], client: ClientAuth, deadline: Deadline
    ) -> ProviderResponse:
        """Call another endpoint of the provider, such as ``device_authorization``.

        Args:
            step: The endpoint's name without ``_endpoint``.
            params: RFC names to values, or to functions that are called once for each send. None
                is omitted.
            client: The client authentication.
            deadline: The deadline of the whole call.
        """
        return run(self._call(step, params, client, deadline), self._transport, deadline)

    async def call_async(
        self, step: str, params: Mapping[str, Any], client: ClientAuth, deadline: Deadline
    ) -> ProviderResponse:
        """Call another endpoint without blocking the event loop; see ``call``."""
        steps = self._call(step, params, client, deadline)
        return await run_async(steps, self._transport, deadline)

    def _token(
        self,
        grant: Grant,
        params: Mapping[str, Any],
        client: ClientAuth,
        deadline: Deadline,
        extra: Mapping[str, Any] | None,
        *,
        attempts: int | None,
    ) -> Steps[tuple[Token, ProviderResponse]]:
        if sources_in(params) or sources_in(extra or {}):
            params, extra = sources_for_call(params), sources_for_call(extra or {})
            yield from _fetch(sources_in(params) + sources_in(extra), deadline)
        if self._resource is not None:
            params, extra = with_resource(grant, params, extra or {}, self._resource)
        loaded, computed = load(grant, params, extra or {})
        exchange = Exchange(
            "token",
            self._token_endpoint,
            self._host,
            grant,
            loaded,
            client,
            self.dialect,
            deadline,
            most_attempts=attempts,
            computed=computed,
        )
        try:
            response = yield from self._run(exchange)
        except BaseException as error:
            received = exchange.received
            issued = None if received is None else self._rescued(grant, loaded, received)
            # An error that is cached and raised again may carry another call's token.
            if issued is not None or hasattr(error, "token"):
                vars(error)["token"] = issued
            raise
        token = response.token
        assert token is not None  # every response without a token raises an error
        received = exchange.received
        if received is not None and received.refresh_token and not token.refresh_token:
            # Middleware that builds a new token must not lose the refresh token.
            token = replace(token, refresh_token=received.refresh_token)
        return self._processed(grant, loaded, token), response

    def _call(
        self, step: str, params: Mapping[str, Any], client: ClientAuth, deadline: Deadline
    ) -> Steps[ProviderResponse]:
        if sources_in(params):
            params = sources_for_call(params)
            yield from _fetch(sources_in(params), deadline)
        loaded, computed = load_untyped(params)
        exchange = Exchange(
            step,
            self.provider.endpoint(step),
            self._host,
            None,
            loaded,
            client,
            self.dialect,
            deadline,
            computed=computed,
        )
        return (yield from self._run(exchange))

    def _run(self, exchange: Exchange) -> Steps[ProviderResponse]:
        """Return the steps of the middleware and the attempts inside it."""
        return (self._observed_chain if self.observe.active else self._chain)(exchange)

    def _rescued(self, grant: Grant, params: Params, received: Token) -> Token:
        """Return the token of a failed call, processed by the grant if possible."""
        if not received.access_token:
            return received
        try:
            return self._processed(grant, params, received)
        except GrantwayError:
            return received

    def _processed(self, grant: Grant, params: Params, token: Token) -> Token:
        """Let the grant process the token; if its code fails, the error carries the token."""
        try:
            result: object = grant.process_token(params, token)
        except (GrantwayError, KeyboardInterrupt) as error:  # raised on purpose, or Ctrl-C
            vars(error)["token"] = token
            raise
        except BaseException as error:
            problem = f"raised {type(error).__name__}"
            raise self._contract_error(grant, token, problem) from error
        if isinstance(result, Token):
            return result
        problem = "is asynchronous" if is_unfinished(result) else f"returned {kind_of(result)}"
        raise self._contract_error(grant, token, problem)

    def _contract_error(self, grant: Grant, token: Token, problem: str) -> PluginError:
        registered = self.registry.grants.get(grant.grant_type) is grant
        plugin = self.registry.owner(grant.grant_type).named if registered else APPLICATION
        return PluginError(
            f"process_token of the grant {grant.grant_type} (plugin {plugin}) {problem}; it must "
            "return a grantway.Token.",
            plugin=plugin,
            token=token,
        )


def _fetch(sources: Sources, deadline: Deadline) -> Steps[None]:
    """Read the sources of parameters, so that computing their values does not block."""
    from .secret_sources import fetch  # noqa: PLC0415 - few calls have a source

    return fetch(sources, deadline)
