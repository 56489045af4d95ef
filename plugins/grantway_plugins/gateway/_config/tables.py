"""The tables of a gateway's file, each as a schema. What profiles have too is taken from there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

from marshmallow import ValidationError, fields, post_load, validate, validates_schema

from grantway._exceptions import ConfigurationError
from grantway._transport.http import is_loopback
from grantway._types.fields import Scope, Text
from grantway_plugins._config.network import NetworkTable, TlsTable
from grantway_plugins._config.tables import (
    ClientTable,
    Extra,
    FreshnessTable,
    Number,
    ProviderTable,
    Seconds,
    StoreField,
)
from grantway_plugins._config.toml_file import TableSchema
from grantway_plugins.auth._bearer import Bearer
from grantway_plugins.gateway._inbound.clients import own_redirect_uris
from grantway_plugins.gateway._protection import BreakerRules, BulkheadRules
from grantway_plugins.gateway.upstream._proxy_headers import is_reserved
from grantway_plugins.gateway.upstream._route import reserved
from grantway_plugins.gateway.upstream._tenant import single
from grantway_plugins.grants.token_exchange import GRANT_TYPE as EXCHANGE

from .fields import (
    ByClient,
    Choice,
    HostName,
    Listen,
    Network,
    SecretHashes,
    Switch,
    Tenant,
    WebOrigin,
    Whole,
)
from .filling import PLACE
from .limits import GatewayLimits

#: Grants that need a user, which a gateway cannot provide.
PERSONAL = ("authorization_code", "device_code", "urn:ietf:params:oauth:grant-type:device_code")
_URIS = 'must be a list of URIs, like ["https://shop.example.com/callback"]'


def _check_token_header(name: str) -> None:
    if is_reserved(name.encode()):
        raise ValidationError(reserved(name))


class _RulesTable(TableSchema):
    """A table whose values a dataclass judges."""

    rules: type[BreakerRules | BulkheadRules | GatewayLimits]

    @validates_schema
    def tell_rules(self, data: Mapping[str, Any], **_options: Any) -> None:
        """Refuse what the rules refuse."""
        try:
            self.rules(**data)
        except ConfigurationError as error:
            raise ValidationError(error.errors) from None


class BreakerTable(_RulesTable):
    """``breaker = {...}``: when a provider is left alone (see ``BreakerRules``)."""

    rules = BreakerRules
    failures = Whole()
    share = Number()
    window = Number()
    least_calls = Whole()
    open_for = Number()
    longest = Number()
    retry_after_cap = Number()


class BulkheadTable(_RulesTable):
    """``bulkhead = {...}``: how many calls at once (see ``BulkheadRules``)."""

    rules = BulkheadRules
    at_once = Whole()
    waiting = Whole(least=0)
    retry_after = Number()


class LimitsTable(_RulesTable):
    """``[gateway.limits]``: what callers may take (see ``GatewayLimits``)."""

    rules = GatewayLimits
    connections = Whole()
    connections_per_peer = Whole()
    header_bytes = Whole(least=1024)
    header_seconds = Seconds()
    idle_seconds = Seconds()
    send_seconds = Seconds()
    grace_seconds = Seconds()
    requests = Whole()
    requests_per_peer = Whole()
    requests_per_tenant = Whole()
    body_bytes = Whole()
    body_seconds = Seconds()
    body_rate = Whole(least=0)
    body_total_seconds = Seconds()

    @post_load
    def make(self, data: Mapping[str, Any], **_options: Any) -> GatewayLimits:
        """Return the limits."""
        return GatewayLimits(**data)


class GatewayTable(TableSchema):
    """``[gateway]``: where it listens and what it keeps."""

    listen = Listen(load_default=("127.0.0.1", 8410))
    admin = Listen(load_default=("127.0.0.1", 8411))
    store = StoreField(load_default=lambda: {"kind": "memory"})
    start = Choice("strict", "degraded", load_default="strict")
    ready = Choice("any", "all", load_default="any")
    reload_every = Seconds()
    trusted_proxies = fields.List(Network(), load_default=list)
    hosts = fields.List(HostName(), load_default=list)
    origins = fields.List(WebOrigin(), load_default=list)
    telemetry = fields.Boolean(load_default=False)
    require_plugins = fields.List(
        Text(example='"acme-audit"'),
        load_default=list,
        error_messages={"invalid": 'must be a list of names, like ["acme-audit"]'},
    )
    limits = fields.Nested(LimitsTable, load_default=GatewayLimits)


class AuthorizeTable(TableSchema):
    """``[authorize]``: answers for a proxy that forwards the requests itself."""

    listen = Listen(load_default=("127.0.0.1", 8412))
    allow = fields.List(Network(), load_default=list)
    envoy_prefix = Text(
        example='"/envoy"', validate=validate.Regexp(r"/[^/]|/\Z"), load_default="/envoy"
    )
    nginx_path = Text(example='"/nginx"', load_default="/nginx")
    forward_auth_path = Text(example='"/forward-auth"', load_default="/forward-auth")

    @validates_schema
    def tell_open(self, data: Mapping[str, Any], **_options: Any) -> None:
        """Require ``allow`` unless the gateway listens on a loopback address."""
        if not is_loopback(data["listen"][0]) and not data["allow"]:
            rule = "is missing: beyond this machine, name the proxies that may ask for tokens"
            raise ValidationError({"allow": [rule]})


class GatewayProviderTable(ProviderTable, ClientTable, NetworkTable):
    """``[providers.NAME]``: who gives tokens, and as whom the gateway asks."""

    client_id = Text(required=True, example='"my-gateway"')
    breaker = fields.Nested(BreakerTable)
    bulkhead = fields.Nested(BulkheadTable)
    freshness = fields.Nested(FreshnessTable)


class RouteTable(TlsTable):
    """``[routes.NAME]``: which requests get which token, and where they go."""

    host = Text(example='"api.example.com"')
    path = Text(example='"/orders"', load_default="/")
    upstream = Text(example='"https://orders.example.com"')
    provider = Text(example='"my-provider"', required=True)
    grant = Text(example='"client_credentials"')
    scope = Scope()
    params = fields.Dict(error_messages={"invalid": "must be a table of the grant's parameters"})
    extra = Extra()
    tenant = Tenant(required=True)
    tenants = Choice("any", "listed", load_default="any")
    on_failure = Choice("closed", "open", required=True)
    incoming = Choice("replace", "keep", "exchange", load_default="replace")
    header = Text(
        example='"Authorization"', load_default="Authorization", validate=_check_token_header
    )
    scheme = fields.String(error_messages={"invalid": 'must be one word, like "Bearer", or ""'})
    token_timeout = Seconds()
    connect_timeout = Seconds(load_default=5.0)
    answer_timeout = Seconds(load_default=60.0)
    insecure_http = Switch(load_default=False)
    keep_host = Switch(load_default=False)
    strip_path = Switch(load_default=False)
    rewrite_location = Switch(load_default=False)
    forward_preflight = Switch(load_default=False)
    encoded_paths = Choice("reject", "forward", load_default="reject")

    @validates_schema
    def tell_upstream(self, data: Mapping[str, Any], **_options: Any) -> None:
        """Refuse an upstream that is no address, or to which tokens would go in the clear."""
        if "upstream" not in data:
            return
        parts = _address(data["upstream"])
        if parts is None:
            rule = "must be an address without user and query, like http://127.0.0.1:9000"
            raise ValidationError({"upstream": [rule]})
        plain = parts.scheme == "http" and not is_loopback(parts.hostname or "")
        if plain and not data["insecure_http"]:
            rule = "would get tokens in the clear; use https, or say insecure_http = true"
            raise ValidationError({"upstream": [rule]})

    @validates_schema
    def tell_bearer(self, data: Mapping[str, Any], **_options: Any) -> None:
        """Reject a header or scheme that cannot carry a token."""
        try:
            Bearer(header=data["header"], scheme=data.get("scheme"))
        except ConfigurationError as error:
            raise ValidationError(dict(error.errors)) from None

    @validates_schema
    def tell_grant(self, data: Mapping[str, Any], **_options: Any) -> None:
        """Refuse grants that do not go with the rest."""
        if data["incoming"] == "exchange" and data.get("grant", EXCHANGE) != EXCHANGE:
            raise ValidationError(
                {"grant": [f'must be left out with incoming = "exchange" (it is {EXCHANGE})']}
            )
        if data["incoming"] == "exchange" and "extra" in data:
            raise ValidationError({"extra": ['cannot stand with incoming = "exchange"']})
        asked = repr([data.get("params"), data.get("scope")])
        if data["incoming"] == "exchange" and PLACE in asked:
            raise ValidationError({"params": [f'cannot have {PLACE} with incoming = "exchange"']})
        if data.get("grant") in PERSONAL:
            raise ValidationError({"grant": ["needs a person, and a gateway has none"]})
        if data["tenants"] == "listed" and data["tenant"] == single():
            raise ValidationError({"tenants": ['cannot be "listed" with tenant = "single"']})
        if "scope" in (data.get("params") or {}):
            raise ValidationError({"params": {"scope": ["stands outside of params, as scope"]}})


class TenantTable(ClientTable):
    """``[tenants.NAME.PROVIDER]``: what differs for a tenant at a provider."""

    scope = Scope()
    params = fields.Dict(error_messages={"invalid": "must be a table of the grant's parameters"})
    extra = Extra()

    @validates_schema
    def tell_timeout(self, data: Mapping[str, Any], **_options: Any) -> None:
        """Reject a timeout here, because it belongs to the provider."""
        if "timeout" in data:
            raise ValidationError({"timeout": ["belongs in the provider's table"]})


class TokenEndpointTable(TableSchema):
    """``[token_endpoint]``: the gateway's own, settled by one of its providers."""

    path = Text(example='"/token"', load_default="/token")
    provider = Text(example='"my-provider"', required=True)
    clients = ByClient(
        values=SecretHashes(),
        required=True,
        error_messages={
            "required": "is missing: who may ask, as a table of client ids to hashes",
            "invalid": "must be a table of client ids to hashes",
        },
    )
    allow = fields.List(
        Text(example='"refresh_token"'),
        required=True,
        error_messages={
            "required": 'is missing: the grant types that are served, like ["refresh_token"]'
        },
    )
    redirect_uris = ByClient(
        values=fields.List(
            fields.String(error_messages={"invalid": _URIS}), error_messages={"invalid": _URIS}
        ),
        load_default=dict,
        error_messages={"invalid": "must be a table of client ids to lists of redirect URIs"},
    )
    binding_key_env = Text(example='"GATEWAY_BINDING_KEY"')
    binding_key_file = Text(example='"binding.key"')
    timeout = Seconds(load_default=30.0)
    threads = Whole(load_default=40)
    waiting = Whole(least=0, load_default=80)

    @validates_schema
    def tell_keys(self, data: Mapping[str, Any], **_options: Any) -> None:
        """Reject keys from two places."""
        if "binding_key_env" in data and "binding_key_file" in data:
            raise ValidationError({"binding_key_file": ["cannot be combined with binding_key_env"]})

    @validates_schema
    def tell_redirect_uris(self, data: Mapping[str, Any], **_options: Any) -> None:
        """Reject redirect URIs that do not tell the clients apart."""
        try:
            own_redirect_uris(data["redirect_uris"], data["clients"])
        except ConfigurationError as error:
            raise ValidationError({"redirect_uris": [error.message.partition(": ")[2]]}) from None


def _address(text: str) -> SplitResult | None:
    """The parts of an upstream's address; None where it cannot be one."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    more = parts.username is not None or parts.query or parts.fragment
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0 or more:
        return None
    return parts
