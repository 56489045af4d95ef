"""Schemas of the tables in a gateway's file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

from marshmallow import ValidationError, fields, post_load, validate, validates_schema

from grantway._exceptions import ConfigurationError
from grantway._transport.http import is_loopback
from grantway._types.fields import Scope, Text
from grantway_plugins._config.certificate_files import CertificateFiles
from grantway_plugins._config.commands import CommandTable
from grantway_plugins._config.fields import Choice, Listen, PathField, StrictBoolean, WholeNumber
from grantway_plugins._config.network import NetworkTable, TlsTable
from grantway_plugins._config.secret_field import GrantParams, SecretField
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
from grantway_plugins.gateway.upstream._tenant import is_user, needs_caller, single
from grantway_plugins.grants.token_exchange import GRANT_TYPE as EXCHANGE

from .cache_seconds import LEAST_SECONDS
from .connections_tables import CONNECTION, USER_GRANTS
from .fields import ByClient, HostName, Network, SecretHashes, WebOrigin
from .limits import GatewayLimits
from .placeholder import PLACEHOLDER
from .tenant_field import Tenant

#: Keys of a route that only a verified caller can meet.
CALLER_KEYS = ("scopes", "acr_values", "max_age")
#: Keys of a provider that do not apply to a program.
_NO_PROGRAM = ProviderTable().fields.keys() - {"dialect"} | {"auth", "client_assertion"}
_URIS = 'must be a list of URIs, like ["https://shop.example.com/callback"]'


def _check_token_header(name: str) -> None:
    if is_reserved(name.encode()):
        raise ValidationError(reserved(name))


def _check_cache_seconds(seconds: int) -> None:
    """Reject a time that is too short for caches, which count whole seconds."""
    if 0 < seconds < LEAST_SECONDS:
        raise ValidationError(f"must be 0, which forbids caching, or at least {LEAST_SECONDS}")


def _check_connection(data: Mapping[str, Any]) -> None:
    """Reject settings of a route that its users' connections determine."""
    if not is_user(data["tenant"]):
        rule = 'must be "user" with grant = "connection": each user has a separate connection'
        raise ValidationError({"tenant": [rule]})
    if data["tenants"] == "listed":
        raise ValidationError({"tenants": ['cannot be "listed" with grant = "connection"']})
    where = f'belongs in [connections.providers.{data["provider"]}] with grant = "connection"'
    if needless := [name for name in ("scope", "params", "extra") if data.get(name)]:
        raise ValidationError({name: [where] for name in needless})


class _RulesTable(TableSchema):
    """A table whose values are checked by a dataclass."""

    rules: type[BreakerRules | BulkheadRules | GatewayLimits]

    @validates_schema
    def check_rules(self, data: Mapping[str, Any], **_options: Any) -> None:
        """Reject values that the dataclass rejects."""
        try:
            self.rules(**data)
        except ConfigurationError as error:
            raise ValidationError(error.errors) from None


class BreakerTable(_RulesTable):
    """``breaker = {...}``: settings of the circuit breaker (see ``BreakerRules``)."""

    rules = BreakerRules
    failures = WholeNumber()
    share = Number()
    window = Number()
    least_calls = WholeNumber()
    open_for = Number()
    longest = Number()
    retry_after_cap = Number()


class BulkheadTable(_RulesTable):
    """``bulkhead = {...}``: limits on concurrent calls (see ``BulkheadRules``)."""

    rules = BulkheadRules
    at_once = WholeNumber()
    waiting = WholeNumber(least=0)
    retry_after = Number()


class LimitsTable(_RulesTable):
    """``[gateway.limits]``: limits on connections and requests (see ``GatewayLimits``)."""

    rules = GatewayLimits
    connections = WholeNumber()
    connections_per_peer = WholeNumber()
    header_bytes = WholeNumber(least=1024)
    header_seconds = Seconds()
    idle_seconds = Seconds()
    send_seconds = Seconds()
    grace_seconds = Seconds()
    requests = WholeNumber()
    requests_per_peer = WholeNumber()
    requests_per_tenant = WholeNumber()
    body_bytes = WholeNumber()
    body_seconds = Seconds()
    body_rate = WholeNumber(least=0)
    body_total_seconds = Seconds()

    @post_load
    def make(self, data: Mapping[str, Any], **_options: Any) -> GatewayLimits:
        """Return the limits."""
        return GatewayLimits(**data)


class ListenerTlsTable(CertificateFiles):
    """``[gateway.tls]``: the certificate of the listener for requests."""

    certificate = PathField(
        required=True, error_messages={"required": 'is missing; name a PEM file, like "tls.crt"'}
    )


class GatewayTable(TableSchema):
    """``[gateway]``: listeners, store and other settings of the gateway as a whole."""

    listen = Listen(load_default=("127.0.0.1", 8410))
    admin = Listen(load_default=("127.0.0.1", 8411))
    store = StoreField(load_default=lambda: {"kind": "memory"})
    start = Choice("strict", "degraded", load_default="strict")
    ready = Choice("any", "all", load_default="any")
    reload_every = Seconds()
    recheck = Seconds()
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
    tls = fields.Nested(ListenerTlsTable)


class AuthorizeTable(TableSchema):
    """``[authorize]``: the authorization endpoint for other proxies."""

    listen = Listen(load_default=("127.0.0.1", 8412))
    grpc_listen = Listen()
    allow = fields.List(Network(), load_default=list)
    envoy_prefix = Text(
        example='"/envoy"', validate=validate.Regexp(r"/[^/]|/\Z"), load_default="/envoy"
    )
    nginx_path = Text(example='"/nginx"', load_default="/nginx")
    forward_auth_path = Text(example='"/forward-auth"', load_default="/forward-auth")
    cache_seconds = WholeNumber(least=0, load_default=5, validate=_check_cache_seconds)

    @validates_schema
    def check_allow(self, data: Mapping[str, Any], **_options: Any) -> None:
        """Require ``allow`` unless the gateway listens on a loopback address."""
        listeners = [data[name] for name in ("listen", "grpc_listen") if name in data]
        if not all(is_loopback(host) for host, _ in listeners) and not data["allow"]:
            rule = (
                "is missing; list the proxies that may request tokens, because other machines "
                "can reach the listen address"
            )
            raise ValidationError({"allow": [rule]})


class GatewayProviderTable(ProviderTable, ClientTable, NetworkTable):
    """``[providers.NAME]``: an authorization server, and the gateway's client there."""

    client_id = Text(required=True, example='"my-gateway"')
    token_command = fields.Nested(CommandTable)
    breaker = fields.Nested(BreakerTable)
    bulkhead = fields.Nested(BulkheadTable)
    freshness = fields.Nested(FreshnessTable)

    @validates_schema
    def check_complete(self, data: Mapping[str, Any], **_options: Any) -> None:
        """Require an issuer, a token endpoint or a program."""
        if "token_command" not in data:
            super().check_complete(data)
        elif needless := sorted(_NO_PROGRAM & data.keys()):
            raise ValidationError(
                {name: ["does not apply to a provider with token_command"] for name in needless}
            )


class RouteTable(TlsTable):
    """``[routes.NAME]``: requests to match, the token to add, and the upstream server."""

    host = Text(example='"api.example.com"')
    path = Text(example='"/orders"', load_default="/")
    upstream = Text(example='"https://orders.example.com"')
    provider = Text(example='"my-provider"', required=True)
    grant = Text(example='"client_credentials"')
    scope = Scope()
    params = GrantParams()
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
    idle_timeout = Seconds(load_default=3600.0)
    insecure_http = StrictBoolean(load_default=False)
    keep_host = StrictBoolean(load_default=False)
    strip_path = StrictBoolean(load_default=False)
    rewrite_location = StrictBoolean(load_default=False)
    forward_preflight = StrictBoolean(load_default=False)
    encoded_paths = Choice("reject", "forward", load_default="reject")
    scopes = Scope()
    acr_values = Scope()
    max_age = WholeNumber(least=0)
    anonymous = StrictBoolean(load_default=False)

    @validates_schema
    def check_anonymous(self, data: Mapping[str, Any], **_options: Any) -> None:
        """Reject requirements of a route whose callers are not verified."""
        needless = [name for name in CALLER_KEYS if name in data]
        if needs_caller(data["tenant"]):
            needless.append("tenant")
        if data["anonymous"] and needless:
            rule = "needs a verified caller; remove it, or anonymous = true"
            raise ValidationError({name: [rule] for name in needless})

    @validates_schema
    def check_upstream(self, data: Mapping[str, Any], **_options: Any) -> None:
        """Reject an invalid URL, and plain HTTP to another machine unless it is allowed."""
        if "upstream" not in data:
            return
        parts = _address(data["upstream"])
        if parts is None:
            rule = "must be a URL without user, query and fragment, like http://127.0.0.1:9000"
            raise ValidationError({"upstream": [rule]})
        plain = parts.scheme == "http" and not is_loopback(parts.hostname or "")
        if plain and not data["insecure_http"]:
            rule = "would receive unencrypted tokens; use https, or set insecure_http = true"
            raise ValidationError({"upstream": [rule]})

    @validates_schema
    def check_bearer(self, data: Mapping[str, Any], **_options: Any) -> None:
        """Reject a header or scheme that cannot carry a token."""
        try:
            Bearer(header=data["header"], scheme=data.get("scheme"))
        except ConfigurationError as error:
            raise ValidationError(dict(error.errors)) from None

    @validates_schema
    def check_grant(self, data: Mapping[str, Any], **_options: Any) -> None:
        """Reject settings that cannot be combined with the grant."""
        if data["incoming"] == "exchange" and data.get("grant", EXCHANGE) != EXCHANGE:
            raise ValidationError(
                {"grant": [f'must be left out with incoming = "exchange" (it is {EXCHANGE})']}
            )
        if data["incoming"] == "exchange" and "extra" in data:
            raise ValidationError({"extra": ['cannot be combined with incoming = "exchange"']})
        requested = repr([dict(data.get("params") or {}), data.get("scope")])
        if data["incoming"] == "exchange" and PLACEHOLDER in requested:
            rule = f'cannot contain {PLACEHOLDER} with incoming = "exchange"'
            raise ValidationError({"params": [rule]})
        if data.get("grant") in USER_GRANTS:
            rule = (
                'needs a user: use grant = "connection", and let users connect their accounts '
                "with [connections]"
            )
            raise ValidationError({"grant": [rule]})
        if data.get("grant") == CONNECTION:
            _check_connection(data)
        if data["tenants"] == "listed" and data["tenant"] == single():
            raise ValidationError({"tenants": ['cannot be "listed" with tenant = "single"']})
        if "scope" in (data.get("params") or {}):
            rule = "must be set in the route's key scope, outside params"
            raise ValidationError({"params": {"scope": [rule]}})


class TenantTable(ClientTable):
    """``[tenants.NAME.PROVIDER]``: settings that override a provider's for one tenant."""

    scope = Scope()
    params = GrantParams()
    extra = Extra()

    @validates_schema
    def check_timeout(self, data: Mapping[str, Any], **_options: Any) -> None:
        """Reject a timeout here, because it belongs to the provider."""
        if "timeout" in data:
            raise ValidationError({"timeout": ["belongs in the provider's table"]})


class TokenEndpointTable(TableSchema):
    """``[token_endpoint]``: the gateway's token endpoint, backed by one of its providers."""

    path = Text(example='"/token"', load_default="/token")
    provider = Text(example='"my-provider"', required=True)
    clients = ByClient(
        values=SecretHashes(),
        required=True,
        error_messages={
            "required": "is missing; give a table that maps client IDs to secret hashes",
            "invalid": "must be a table that maps client IDs to secret hashes",
        },
    )
    allow = fields.List(
        Text(example='"refresh_token"'),
        required=True,
        error_messages={
            "required": 'is missing; list the allowed grant types, like ["refresh_token"]'
        },
    )
    redirect_uris = ByClient(
        values=fields.List(
            fields.String(error_messages={"invalid": _URIS}), error_messages={"invalid": _URIS}
        ),
        load_default=dict,
        error_messages={"invalid": "must be a table that maps client IDs to lists of URIs"},
    )
    binding_key = SecretField()
    timeout = Seconds(load_default=30.0)
    threads = WholeNumber(load_default=40)
    waiting = WholeNumber(least=0, load_default=80)

    @validates_schema
    def check_redirect_uris(self, data: Mapping[str, Any], **_options: Any) -> None:
        """Reject invalid redirect URIs, and URIs shared by two clients."""
        try:
            own_redirect_uris(data["redirect_uris"], data["clients"])
        except ConfigurationError as error:
            raise ValidationError({"redirect_uris": [error.message.partition(": ")[2]]}) from None


def _address(text: str) -> SplitResult | None:
    """Return the parts of an upstream's URL, or None if it is invalid."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    forbidden = parts.username is not None or parts.query or parts.fragment
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0 or forbidden:
        return None
    return parts
