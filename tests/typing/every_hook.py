"""A plugin that uses every hook, typed with public names only. See ``test_plugin_types``."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from marshmallow import Schema, fields

from grantway import (
    ClientAuthFactory,
    Dialect,
    Event,
    Exchange,
    Grant,
    GrantSchema,
    LoginContext,
    LoginFlow,
    Middleware,
    OutgoingRequest,
    ProviderResponse,
    Replay,
    RequestShape,
    Secret,
    SecretSourceFactory,
    StoreFactory,
    StoreLockError,
    Text,
    Token,
    TokenError,
    hookimpl,
)
from grantway_plugins.gateway.upstream import RequestContext
from grantway_plugins.issuer import (
    Additions,
    Denial,
    Endpoint,
    GrantRequest,
    Identity,
    Issue,
    IssuerClientAuth,
    IssuerExtension,
    IssuerGrant,
    IssuerLogin,
    IssuerRequest,
    IssuerSettings,
    LoginFailure,
    LoginRequest,
    RegisteredClient,
    Reply,
    Transaction,
)

GRANT_TYPE = "urn:acme:coupon"


class CouponSchema(GrantSchema):
    """The parameters of a request."""

    coupon = Text(required=True, example='"SPRING-2031"')


class Coupons:
    """The issuer's part of the grant."""

    def decide(self, request: GrantRequest, transaction: Transaction) -> Issue | Denial:
        """Issue a token for a known coupon."""
        if request.params["coupon"] != "SPRING-2031":
            return Denial("invalid_grant", "The coupon is unknown")
        return request.issue(subject="coupon-holder")


class Nonces:
    """An endpoint of the issuer."""

    def extend(self, settings: IssuerSettings) -> Additions:
        """Add the endpoint."""
        return Additions(endpoints=[Endpoint("/nonce", self.reply)])

    def reply(self, request: IssuerRequest, transaction: Transaction) -> Reply:
        """Reply to a request."""
        return Reply({"nonce": "n-1"})


class ApiKeySchema(Schema):
    """The metadata of a client with a key."""

    api_key_sha256 = fields.String(required=True)


class ApiKeys:
    """The issuer's part of client authentication."""

    schema = ApiKeySchema()

    def client_id(self, request: IssuerRequest) -> str | None:
        """Return None: clients send their client_id."""
        return None

    def verify(
        self, request: IssuerRequest, client: RegisteredClient, transaction: Transaction
    ) -> bool:
        """Verify the key."""
        return bool(request.headers.get("x-api-key") == client.metadata["api_key_sha256"])


class ProxyHeader:
    """A login of the issuer."""

    def __init__(self, *, header: str = "X-Remote-User") -> None:
        self._header = header

    def begin(self, request: LoginRequest) -> Identity | LoginFailure:
        """Return the user that the proxy names."""
        name = request.headers.get(self._header)
        return Identity(name) if name else LoginFailure("The proxy named no user.")

    def finish(self, request: LoginRequest) -> Identity | LoginFailure:
        """Return the user that the proxy names."""
        return self.begin(request)


@dataclass(frozen=True)
class ApiKey:
    """The client's part of client authentication."""

    client_id: str
    key: str = field(repr=False)

    def authenticate(self, request: OutgoingRequest, /) -> None:
        """Add the key."""
        request.headers["X-Api-Key"] = self.key

    def secrets(self) -> tuple[str, ...]:
        """Return the key."""
        return (self.key,)


def api_key(client_id: str, client_secret: str | None) -> ApiKey:
    """Create client authentication."""
    return ApiKey(client_id, client_secret or "")


class DictStore:
    """A store in memory."""

    def __init__(self, *, label: str = "") -> None:
        self._label = label
        self._tokens: dict[str, Token] = {}
        self._locks: dict[str, threading.Lock] = {}

    def load(self, key: str) -> Token | None:
        """Return a token."""
        return self._tokens.get(key)

    def save(self, key: str, token: Token, *, fence: int = 0) -> None:
        """Save a token."""
        self._tokens[key] = token

    def delete(self, key: str, *, fence: int = 0) -> None:
        """Delete a token."""
        self._tokens.pop(key, None)

    @contextmanager
    def lock(self, key: str, timeout: float) -> Generator[int, None, None]:
        """Hold the lock of a key."""
        lock = self._locks.setdefault(key, threading.Lock())
        if not lock.acquire(timeout=timeout):
            raise StoreLockError(f"{self._label}: in use for {timeout:g} s")
        try:
            yield 0
        finally:
            lock.release()


class FixedSecret:
    """A source of secrets."""

    def __init__(self, *, value: str) -> None:
        self._value = value

    def read(self) -> Secret:
        """Return the secret."""
        return Secret(self._value)


class CouponSpentError(TokenError):
    """The coupon was used before."""

    code = wire = "coupon_spent"


class AuditSettings(Schema):
    """The settings of the plugin."""

    url = fields.Url(load_default="https://audit.example.com")


def audit(exchange: Exchange) -> Generator[Exchange, ProviderResponse, ProviderResponse]:
    """Pass on a request."""
    return (yield exchange)


def by_prefix(*, separator: str = "-") -> Callable[[RequestContext], str]:
    """Return a rule: the tenant is the start of the host."""

    def tenant(request: RequestContext) -> str:
        return request.host.partition(separator)[0]

    return tenant


def log_in(login: LoginContext) -> Token:
    """Ask for a code and request a token."""
    return login.request(coupon=login.screen.ask_secret("Coupon"))


@hookimpl
def grantway_register_grants() -> Iterable[Grant]:
    """Register a grant."""
    return [Grant(GRANT_TYPE, CouponSchema(), replay=Replay.NEVER, secret=frozenset({"coupon"}))]


@hookimpl
def grantway_register_issuer_grants() -> Mapping[str, IssuerGrant]:
    """Register the issuer's part of a grant."""
    return {GRANT_TYPE: Coupons()}


@hookimpl
def grantway_register_issuer_extensions() -> Mapping[str, IssuerExtension]:
    """Register an endpoint of the issuer."""
    return {"nonces": Nonces()}


@hookimpl
def grantway_register_issuer_client_auth() -> Mapping[str, IssuerClientAuth]:
    """Register the issuer's part of client authentication."""
    return {"acme_key": ApiKeys()}


@hookimpl
def grantway_register_issuer_logins() -> Mapping[str, Callable[..., IssuerLogin]]:
    """Register a login of the issuer."""
    return {"acme-proxy": ProxyHeader}


@hookimpl
def grantway_register_dialects() -> Iterable[Dialect]:
    """Register a dialect."""
    return [Dialect(name="acme", request=RequestShape(scope_separator=","))]


@hookimpl
def grantway_register_middleware(settings: Mapping[str, Any]) -> Iterable[Middleware]:
    """Register middleware."""
    return [audit] if settings["url"] else []


@hookimpl
def grantway_register_errors() -> Mapping[str, type[TokenError]]:
    """Register an exception class."""
    return {"coupon_spent": CouponSpentError}


@hookimpl
def grantway_register_client_auth() -> Mapping[str, ClientAuthFactory]:
    """Register client authentication."""
    return {"acme_key": api_key}


@hookimpl
def grantway_register_stores() -> Mapping[str, StoreFactory]:
    """Register a store."""
    return {"acme-dict": DictStore}


@hookimpl
def grantway_register_secret_sources() -> Mapping[str, SecretSourceFactory]:
    """Register a source of secrets."""
    return {"acme-fixed": FixedSecret}


@hookimpl
def grantway_register_login_flows() -> Mapping[str, LoginFlow]:
    """Register a login flow."""
    return {GRANT_TYPE: log_in}


@hookimpl
def grantway_register_tenant_rules() -> Mapping[str, Callable[..., Callable[[Any], str]]]:
    """Register a tenant rule of gateways."""
    return {"acme-prefix": by_prefix}


@hookimpl
def grantway_register_settings() -> Schema:
    """Declare the settings."""
    return AuditSettings()


@hookimpl
def grantway_observe(event: Event) -> None:
    """Receive an event."""
