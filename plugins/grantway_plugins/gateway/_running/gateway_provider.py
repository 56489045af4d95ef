"""A provider in the gateway's file: its discovery, clients and health."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from grantway._exceptions import (
    ConfigurationError,
    GrantwayError,
    ProviderPausedError,
    SecretUnavailableError,
)
from grantway._plugins.default_registry import default_registry
from grantway._requests.client import Client
from grantway._requests.client_assertion import assertion_auth
from grantway._requests.client_auth import ClientAuth, named_auth
from grantway._requests.provider import Provider
from grantway._requests.sourced_auth import SourcedAuth
from grantway._types.freshness import Freshness
from grantway_plugins._config.components import Components
from grantway_plugins._config.network import NetworkSettings
from grantway_plugins._config.tables import ProviderTable
from grantway_plugins._config.toml_file import KeyPath
from grantway_plugins.executable._token import (
    DIALECT,
    MARGIN,
    ExecutableTransport,
    provider_of,
    report_failure_of,
)
from grantway_plugins.gateway._protection import Protection

from .upstream_health import UpstreamHealth

if TYPE_CHECKING:
    from grantway._requests.exchange import Exchange
    from grantway._requests.middleware import Middleware
    from grantway._transport.http import Transport
    from grantway._wire.provider_response import ProviderResponse
    from grantway_plugins.executable import Command

_TIMEOUT = 30.0
#: Methods that, without a secret, only send the client ID.
_BY_SECRET = frozenset({"client_secret_basic", "client_secret_post"})
#: ``Retry-After`` in seconds for callers while the provider is not discovered.
_RETRY_AFTER = 5.0

Table = Mapping[str, Any]


class GatewayProvider:
    """A provider and the gateway's clients of it.

    Args:
        name: Name of the provider in the file.
        table: Table of the provider in the file.
        components: Creates components from tables.
        health: Records the health of the provider.
        protection: Circuit breaker and bulkhead for requests to the provider.
        network: The table ``[network]``.

    Raises:
        ConfigurationError: A network setting is invalid.

    Attributes:
        found: The provider, or None until it is discovered.
        problem: Error of the last discovery, or None.
    """

    def __init__(
        self,
        name: str,
        table: Table,
        components: Components,
        health: UpstreamHealth,
        protection: Protection,
        *,
        network: Table,
    ) -> None:
        self.name = name
        self.table = table
        self.health = health
        self.protection = protection
        self.found: Provider | None = None
        self.problem: GrantwayError | None = None
        self._at: KeyPath = ("providers", name)
        self._components = components
        self._timeout = float(table.get("timeout", _TIMEOUT))
        self._program = self._find_program()
        settings = NetworkSettings(components, table, self._at, network)
        self._transport: Transport = settings.transport(self._timeout)
        if self._program is not None:
            self._timeout = max(self._timeout, self._program.timeout + MARGIN)
            self._transport = ExecutableTransport(self._program)
        self._clients: dict[str, Client] = {}

    def discover(self) -> None:
        """Discover the endpoints, unless the file names them. This can take long."""
        try:
            found = self._found()
        except GrantwayError as error:
            self.problem = error
            self.health.failed(error)
            return
        self.found, self.problem = found, None
        self._clients = {}  # the previous clients reject every request
        self.health.works()

    def _found(self) -> Provider:
        if self._program is not None:
            return provider_of(self._program)
        return self._components.provider(self._provider_table, self._at, self._transport)

    def _find_program(self) -> Command | None:
        """Return the program that performs the token requests, or None."""
        name = "token_command"
        return self._components.command(self.table, self._at, name) if name in self.table else None

    @property
    def upstream(self) -> str:
        """Identifier of the provider, also while its endpoints are not discovered."""
        if self._program is not None:
            return provider_of(self._program).token_endpoint
        return str(self.table.get("issuer") or self.table["token_endpoint"])

    @property
    def freshness(self) -> Freshness | None:
        """Refresh windows for tokens of the provider; None for those of the dialect."""
        table = self.table.get("freshness")
        return None if table is None else Freshness(**table)

    def client(self, tenant: str = "", differs: Table | None = None) -> Client:
        """Return the client for a tenant.

        Args:
            tenant: The tenant; empty for the gateway itself.
            differs: The tenant's own settings for this provider.

        Raises:
            ConfigurationError: The client secret cannot be read.
        """
        key, table, at = self._client_settings(tenant, differs)
        if key not in self._clients:
            self._clients[key] = self._make(table, at)
        return self._clients[key]

    def check(self, tenant: str = "", differs: Table | None = None) -> None:
        """Check the client of a tenant without sending anything.

        Raises:
            ConfigurationError: The client's settings cannot work.
        """
        _, table, at = self._client_settings(tenant, differs)
        method = table.get("auth")
        if method in _BY_SECRET and "client_secret" not in table:
            raise ConfigurationError(f"auth: {method} needs a secret; set client_secret")
        auth = self._auth(table, at)
        if isinstance(auth, SourcedAuth):
            with suppress(SecretUnavailableError):  # reported for its key
                auth.current()

    def _client_settings(self, tenant: str, differs: Table | None) -> tuple[str, Table, KeyPath]:
        """Return the key of a tenant's client, its settings, and their place in the file."""
        if differs is None or not any(name in differs for name in ("client_id", "auth")):
            return "", self.table, self._at
        return tenant, _merge_client_settings(self.table, differs), ("tenants", tenant, self.name)

    def _make(self, table: Table, at: KeyPath) -> Client:
        if self.found is None:
            return Client(
                # The middleware rejects every request before it is sent.
                Provider(
                    token_endpoint=self.table["issuer"],
                    device_authorization_endpoint=self.table["issuer"],
                    dialect=self._dialect,
                ),
                client_id=table["client_id"],
                auth="none",
                middleware=[self._reject],
                transport=self._transport,
                timeout=self._timeout,
            )
        return Client(
            self.found,
            client_id=table["client_id"],
            auth=self._auth(table, at),
            middleware=[self.health, self.protection, *self._report_failure()],
            transport=self._transport,
            timeout=self._timeout,
        )

    def _report_failure(self) -> list[Middleware]:
        return [] if self._program is None else [report_failure_of(self._program)]

    @property
    def _provider_table(self) -> Table:
        """The table without the settings that only the gateway has."""
        return {name: each for name, each in self.table.items() if name in ProviderTable().fields}

    @property
    def _dialect(self) -> Any:
        if self._program is not None:
            return DIALECT
        return self._components.dialect(self.table, self._at)

    def _auth(self, table: Table, at: KeyPath) -> ClientAuth:
        registry = default_registry()
        given = self._components.client_secrets(table, at)
        if "client_assertion" in given:
            return assertion_auth(table["client_id"], **given)
        return named_auth(
            table.get("auth"),
            table["client_id"],
            given.get("client_secret"),
            self._dialect.request,
            more=registry.client_auth,
            owner=registry.client_auth_owner,
        )

    def _reject(
        self, exchange: Exchange
    ) -> Generator[Exchange, ProviderResponse, ProviderResponse]:
        yield from ()  # middleware is a generator function
        code = self.problem.code if self.problem is not None else "unknown"
        raise ProviderPausedError(
            f"{self.name} could not be discovered yet ({code}); discovery is repeated.",
            retry_after=_RETRY_AFTER,
            evidence=exchange.evidence(),
        )

    def close(self) -> None:
        """Close idle connections."""
        self._transport.close()

    def __repr__(self) -> str:
        return f"GatewayProvider({self.name!r})"


def _merge_client_settings(table: Table, differs: Table | None) -> dict[str, Any]:
    """Return the client settings of a tenant. Its own client ID discards the gateway's secret."""
    own = dict(differs or {})
    inherited = dict(table)
    if "client_id" in own:
        inherited = {name: v for name, v in inherited.items() if not name.startswith("client_")}
    if "client_assertion" in own:
        inherited.pop("auth", None)
    settings = {name: own[name] for name in own if name == "auth" or name.startswith("client_")}
    return {**inherited, **settings}
