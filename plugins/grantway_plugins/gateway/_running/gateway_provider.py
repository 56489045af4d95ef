"""A provider of the file: found or not yet, its clients, and how it does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from grantway._exceptions import ConfigurationError, GrantwayError, ProviderPausedError
from grantway._plugins.default_registry import default_registry
from grantway._requests.client import Client
from grantway._requests.client_auth import ClientAuth, client_auth
from grantway._requests.provider import Provider
from grantway._types.freshness import Freshness
from grantway_plugins._config.components import Components
from grantway_plugins._config.network import NetworkSettings
from grantway_plugins._config.tables import ProviderTable
from grantway_plugins._config.toml_file import KeyPath
from grantway_plugins.gateway._protection import Protection

from .rotating_secret import RotatingSecret, once_more_with_another_secret
from .upstream_health import UpstreamHealth

if TYPE_CHECKING:
    from grantway._requests.exchange import Exchange
    from grantway._requests.middleware import Next
    from grantway._wire.provider_response import ProviderResponse

_TIMEOUT = 30.0
_SECRET = "client_secret"
#: Methods that without a secret only name the client.
_BY_SECRET = frozenset({"client_secret_basic", "client_secret_post"})
#: Seconds after which a caller may ask again for a token of a provider that was not found.
_COME_BACK = 5.0

Table = Mapping[str, Any]


class GatewayProvider:
    """One provider, and the gateway's clients of it.

    Args:
        name: Its name in the file.
        table: What the file says of it.
        parts: Makes what the table describes.
        watch: Notes how it does.
        protection: Stands between its clients and it.
        network: What ``[network]`` says.

    Raises:
        ConfigurationError: a network setting cannot work.

    Attributes:
        found: The provider; None as long as it could not be discovered.
        problem: Why it could not.
    """

    def __init__(
        self,
        name: str,
        table: Table,
        parts: Components,
        watch: UpstreamHealth,
        protection: Protection,
        *,
        network: Table,
    ) -> None:
        self.name = name
        self.table = table
        self.watch = watch
        self.protection = protection
        self.found: Provider | None = None
        self.problem: GrantwayError | None = None
        self._at: KeyPath = ("providers", name)
        self._parts = parts
        self._timeout = float(table.get("timeout", _TIMEOUT))
        settings = NetworkSettings(parts, table, self._at, network)
        self._transport = settings.transport(self._timeout)
        self._clients: dict[str, Client] = {}

    def discover(self) -> None:
        """Ask it for its endpoints, unless the file names them; may take a while."""
        try:
            found = self._parts.provider(self._who_is_asked, self._at, self._transport)
        except GrantwayError as error:
            self.problem = error
            self.watch.failed(error)
            return
        self.found, self.problem = found, None
        self._clients = {}  # those that there were refuse everything
        self.watch.works()

    @property
    def freshness(self) -> Freshness | None:
        """When to refresh its tokens; None for the dialect's value."""
        table = self.table.get("freshness")
        return None if table is None else Freshness(**table)

    def client(self, tenant: str = "", differs: Table | None = None) -> Client:
        """Return the client for a tenant.

        Args:
            tenant: The tenant; empty for the gateway itself.
            differs: The tenant's own settings for this provider.

        Raises:
            ConfigurationError: The client's secret is missing where the file says.
        """
        key, table, at = self._whose(tenant, differs)
        if key not in self._clients:
            self._clients[key] = self._make(table, at)
        return self._clients[key]

    def check(self, tenant: str = "", differs: Table | None = None) -> None:
        """Check the client of a tenant without sending anything.

        Raises:
            ConfigurationError: says what about the client cannot work.
        """
        _, table, at = self._whose(tenant, differs)
        method = table.get("auth")
        if method in _BY_SECRET and not any(name.startswith(_SECRET) for name in table):
            raise ConfigurationError(f"auth: {method} needs a secret, as by {_SECRET}_file")
        self._auth(table, at)

    def _whose(self, tenant: str, differs: Table | None) -> tuple[str, Table, KeyPath]:
        """The client's key, what the file says of it, and where."""
        if differs is None or not any(name in differs for name in ("client_id", "auth")):
            return "", self.table, self._at
        return tenant, _who(self.table, differs), ("tenants", tenant, self.name)

    def _make(self, table: Table, at: KeyPath) -> Client:
        if self.found is None:
            return Client(
                # Nothing is ever sent there.
                Provider(
                    token_endpoint=self.table["issuer"],
                    device_authorization_endpoint=self.table["issuer"],
                    dialect=self._dialect,
                ),
                client_id=table["client_id"],
                auth="none",
                middleware=[self._refuse],
                transport=self._transport,
                timeout=self._timeout,
            )
        return Client(
            self.found,
            client_id=table["client_id"],
            auth=self._auth(table, at),
            middleware=[self.watch, self.protection, once_more_with_another_secret],
            transport=self._transport,
            timeout=self._timeout,
        )

    @property
    def _who_is_asked(self) -> Table:
        """The table without what a provider's own table does not have."""
        return {name: each for name, each in self.table.items() if name in ProviderTable().fields}

    @property
    def _dialect(self) -> Any:
        return self._parts.dialect(self.table, self._at)

    def _auth(self, table: Table, at: KeyPath) -> ClientAuth:
        shape = self._dialect.request

        def make(secret: str | None) -> ClientAuth:
            return client_auth(
                table.get("auth") or shape.client_auth,
                table["client_id"],
                secret,
                credentials=shape.basic,
                more=default_registry().client_auth,
            )

        if "client_secret_file" not in table:
            return make(self._parts.secret(table, at))

        def read() -> str:
            return self._parts.secret(table, at) or ""

        return RotatingSecret(self._parts.path(table["client_secret_file"]), read, make)

    def _refuse(self, exchange: Exchange, _call_next: Next) -> ProviderResponse:
        code = self.problem.code if self.problem is not None else "unknown"
        raise ProviderPausedError(
            f"{self.name} could not be discovered yet ({code}); it is tried again meanwhile.",
            retry_after=_COME_BACK,
            evidence=exchange.evidence(),
        )

    def close(self) -> None:
        """Close idle connections."""
        self._transport.close()

    def __repr__(self) -> str:
        return f"GatewayProvider({self.name!r})"


def _who(table: Table, differs: Table | None) -> dict[str, Any]:
    """Return the client settings of a tenant; its own client id discards the gateway's secret."""
    own = dict(differs or {})
    kept = dict(table)
    if "client_id" in own:
        kept = {name: value for name, value in kept.items() if not name.startswith("client_")}
    who = {name: own[name] for name in own if name == "auth" or name.startswith("client_")}
    return {**kept, **who}
