"""Dispatch a request: check it against its grant and run the middleware chain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from grantway._exceptions import GrantwayError, PluginError, RequestInvalidError
from grantway._plugins.grant_rules import RESERVED
from grantway._secrets.redaction import SECRET_NAME, texts
from grantway._transport.http import can_travel
from grantway._types.callables import computed_names, is_unfinished, kind_of
from grantway._types.grant import Grant, Params
from grantway._types.plugin_status import APPLICATION
from grantway._types.token import Token

from .computed_parameters import ComputedParams
from .exchange import Exchange, Wire
from .middleware import compose
from .middleware.errors import MapErrors
from .middleware.layer import Layer
from .middleware.observe import Observe
from .middleware.retry import RetryPolicy, RetrySends
from .provider import Provider, require_dialect

if TYPE_CHECKING:
    from grantway._plugins.registry import Registry
    from grantway._transport.deadline import Deadline
    from grantway._transport.http import Transport
    from grantway._wire.dialect import ProviderResponse

    from .client_auth import ClientAuth
    from .middleware import Middleware


class Dispatcher:
    """Sends requests to one provider with the grants of one registry. Thread-safe.

    Args:
        registry: The source of grants, dialects and middleware.
        provider: The provider.
        transport: Sends the requests.
        retry: A retry policy, or a ``RetrySends`` with its own judgement of responses.
        middleware: Additional middleware, inside the registry's.
    """

    def __init__(
        self,
        registry: Registry,
        provider: Provider,
        transport: Transport,
        retry: RetryPolicy | RetrySends,
        middleware: Sequence[Middleware] = (),
    ) -> None:
        self.registry = registry
        self.provider = provider
        self.dialect = require_dialect(provider.dialect, registry.dialects)
        self.observe = Observe(registry.observers)
        self._host = provider.host
        self._token_endpoint = provider.token_endpoint
        sends = retry if isinstance(retry, RetrySends) else RetrySends(retry, registry.errors)
        self._run = compose(
            [
                self.observe,
                *(
                    Layer(each, plugin.named, sends.may_repeat)
                    for each, plugin in zip(
                        registry.middleware, registry.origins.middleware, strict=True
                    )
                ),
                *(Layer(each, APPLICATION, sends.may_repeat) for each in middleware),
                MapErrors(registry.errors),
                sends,
            ],
            Wire(transport, provider),
        )

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

        Raises:
            RequestInvalidError: the parameters violate the grant's schema; nothing was sent.
            TokenError: the provider returned an error.
            TransportError: there was no usable response.
            PluginError: a plugin's code broke its contract.
        """
        loaded, computed = _load(grant, params, extra or {})
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
            answer = self._run(exchange)
        except BaseException as error:
            received = exchange.received
            # A cached error that is raised again may carry another call's token.
            came = None if received is None else self._rescued(grant, loaded, received)
            if came is not None or hasattr(error, "token"):
                vars(error)["token"] = came
            raise
        token = answer.token
        assert token is not None  # MapErrors raised for every answer without one
        received = exchange.received
        if received is not None and received.refresh_token and not token.refresh_token:
            # Middleware that builds a new token must not lose the refresh token.
            token = replace(token, refresh_token=received.refresh_token)
        return self._settle(grant, loaded, token), answer

    def _rescued(self, grant: Grant, params: Params, received: Token) -> Token:
        """Return the token of a failed call, processed by the grant if possible."""
        if not received.access_token:
            return received
        try:
            return self._settle(grant, params, received)
        except GrantwayError:
            return received

    def _settle(self, grant: Grant, params: Params, token: Token) -> Token:
        """Let the grant process the token; if its code fails, the error carries the token."""
        try:
            settled: object = grant.settle(params, token)
        except (GrantwayError, KeyboardInterrupt) as error:  # raised on purpose, or Ctrl-C
            vars(error)["token"] = token
            raise
        except BaseException as error:
            raise self._settle_error(grant, token, f"raised {type(error).__name__}") from error
        if isinstance(settled, Token):
            return settled
        what = "is asynchronous" if is_unfinished(settled) else f"returned {kind_of(settled)}"
        raise self._settle_error(grant, token, what)

    def _settle_error(self, grant: Grant, token: Token, what: str) -> PluginError:
        owned = self.registry.grants.get(grant.grant_type) is grant
        plugin = self.registry.owner(grant.grant_type).named if owned else APPLICATION
        return PluginError(
            f"settle of the grant {grant.grant_type}, which the plugin {plugin} brings, {what}; "
            "it must return a grantway.Token.",
            plugin=plugin,
            token=token,
        )

    def call(
        self, step: str, params: Mapping[str, Any], client: ClientAuth, deadline: Deadline
    ) -> ProviderResponse:
        """Call another endpoint of the provider, such as ``device_authorization``.

        Args:
            step: The endpoint's name without ``_endpoint``.
            params: RFC names to values, or to functions that are called for each send. None is
                omitted.
            client: The client authentication.
            deadline: The deadline of the whole call.
        """
        computed = ComputedParams(params, _stated) if computed_names(params) else None
        exchange = Exchange(
            step,
            self.provider.endpoint(step),
            self._host,
            None,
            _stated(params) if computed is None else computed.first,
            client,
            self.dialect,
            deadline,
            computed=computed,
        )
        return self._run(exchange)


def _load(
    grant: Grant, params: Mapping[str, Any], extra: Mapping[str, Any]
) -> tuple[Params, ComputedParams | None]:
    """Return the checked parameters and, if any is a function, what computes them for each send."""
    names = computed_names(params)
    if not names and not (isinstance(extra, Mapping) and computed_names(extra)):
        return _loaded(grant, params, extra), None
    # Do not call the functions if the request is invalid in another way.
    grant.load(
        Params({name: value for name, value in params.items() if name not in names}), partial=True
    )
    given = Params(params)
    given.update((f"extra.{name}", value) for name, value in extra.items())

    def load(values: Params) -> Params:
        return _loaded(
            grant,
            Params({name: values[name] for name in params}),
            Params({name: values[f"extra.{name}"] for name in extra}),
        )

    computed = ComputedParams(given, load)
    return computed.first, computed


def _stated(params: Mapping[str, Any]) -> Params:
    """Return the parameters without None values, and record the secret ones."""
    stated = Params({name: value for name, value in params.items() if value is not None})
    stated.extra_secrets = _secrets(stated)
    return stated


def _loaded(grant: Grant, params: Mapping[str, Any], extra: Mapping[str, Any]) -> Params:
    loaded = grant.load(params)
    if extra:
        _add_extra(grant, loaded, extra)
    return loaded


def _add_extra(grant: Grant, params: Params, extra: Mapping[str, Any]) -> None:
    """Add provider-specific parameters, which are not in the schema."""
    errors: dict[str, list[str]] = {}
    if not isinstance(extra, Mapping) or not all(isinstance(name, str) for name in extra):
        rule = 'must map names to values, like {"audience": "api"}'
        raise RequestInvalidError(f"Nothing was sent: extra {rule}", errors={"extra": [rule]})
    taken = grant.names.all_of(grant.schema.fields)
    for name, value in extra.items():
        if name in RESERVED or name in taken:
            errors[f"extra.{name}"] = ["is a parameter of the request; pass it by its own name"]
        elif not (
            isinstance(value, str)
            or (isinstance(value, (list, tuple)) and all(isinstance(v, str) for v in value))
        ):
            errors[f"extra.{name}"] = ['must be a string or a list of strings, like "value"']
        elif not all(can_travel(text) for text in (name, *texts(value))):
            errors[f"extra.{name!a}"] = ["holds half a character (a lone surrogate)"]
    if errors:
        listing = "; ".join(f"{name} {rules[0]}" for name, rules in errors.items())
        raise RequestInvalidError(f"Nothing was sent: {listing}", errors=errors)
    params.update(extra)
    params.extra_secrets = _secrets(extra)


def _secrets(params: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the values whose names suggest a secret, for parameters without a schema."""
    return tuple(
        text for name, value in params.items() if SECRET_NAME.match(name) for text in texts(value)
    )
