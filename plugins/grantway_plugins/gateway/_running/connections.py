"""The connections of users, from ``[connections]`` of the gateway's file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from grantway._credentials.fingerprint import fingerprint
from grantway_grants.authorization_code import AuthorizationCodeFlow
from grantway_plugins._config.network import NetworkSettings
from grantway_plugins._config.toml_file import KeyPath
from grantway_plugins.gateway._config import ConfigFile
from grantway_plugins.gateway._connections._background.activity import Activity
from grantway_plugins.gateway._connections._records.opening import open_records
from grantway_plugins.gateway._connections._webhook.webhook import TIMEOUT, Webhook
from grantway_plugins.gateway._connections.observer import ConnectionObserver
from grantway_plugins.gateway._connections.provider import ConnectionProvider
from grantway_plugins.gateway._connections.sealed_json import SealedJson
from grantway_plugins.gateway._connections.service import Connections
from grantway_plugins.gateway._connections.settings import ConnectionsSettings
from grantway_plugins.stores.encrypted._store import encrypted_with

if TYPE_CHECKING:
    from grantway._types.store import Store
    from grantway_plugins.gateway._connections.metrics import ConnectionMetrics
    from grantway_plugins.gateway._connections.records import ConnectionRecords

    from .component_cache import ComponentCache
    from .gateway_provider import GatewayProvider

Table = Mapping[str, Any]


class ConnectionsBuilder:
    """Creates the connections of users.

    Args:
        config: The file.
        components: All components; unchanged ones are reused.
        attempt: Creates a component, and records the mistake at a place in the file.
        metrics: Counts what happens to connections, or None.
    """

    def __init__(
        self,
        config: ConfigFile,
        components: ComponentCache,
        attempt: Callable[[KeyPath, Callable[[], Any]], Any],
        metrics: ConnectionMetrics | None,
    ) -> None:
        self._config, self._components, self._attempt = config, components, attempt
        self._metrics = metrics

    def build(
        self, table: Table, providers: Mapping[str, GatewayProvider], store: Store
    ) -> Connections:
        """Return the connections.

        Raises:
            ConfigurationError: A key or the records cannot be used.
        """
        config, components = self._config, self._components
        keys = config.connection_keys()
        # Their hash is part of the key of each component that encrypts, so that a reload uses them.
        encryption = {"key": table["key"], "keys": fingerprint({"keys": keys().value})}
        encrypted = components.get(
            "encrypted store",
            {**encryption, "made": id(store)},
            lambda: encrypted_with(store, keys),
        )
        stored = config.gateway["store"]
        opened = components.get("connection records", stored, lambda: _Opened(open_records(stored)))
        settings = ConnectionsSettings.of(table)
        # A reload must not lose what is not saved yet.
        activity = components.get("connection activity", {}, Activity)
        refreshed = partial(activity.refreshed, settings.keep_alive)
        connectable = {
            name: made
            for name, each in config.connection_providers.items()
            if name in providers
            and (
                made := self._attempt(
                    ("connections", "providers", name),
                    partial(self._provider, name, each, providers[name], encrypted, refreshed),
                )
            )
        }
        webhook = None
        if (reported := table.get("webhook")) is not None:
            at = ("connections", "webhook")
            webhook = self._attempt(at, partial(self._webhook, reported))
        observer = components.get(
            "connection observer", {}, lambda: ConnectionObserver(self._metrics)
        )
        return components.get(
            "connections",
            {
                **encryption,
                "settings": repr(settings),
                "made": [id(each) for each in (opened, encrypted, webhook, *connectable.values())],
            },
            lambda: Connections(
                settings,
                connectable,
                opened.records,
                encrypted,
                SealedJson(keys),
                activity=activity,
                observer=observer,
                webhook=webhook,
            ),
        )

    def _webhook(self, table: Table) -> Webhook:
        config = self._config
        at = ("connections", "webhook")

        def make() -> Webhook:
            secret = config.components.secret(table["secret"], (*at, "secret"))
            transport = NetworkSettings(config.components, {}, at, config.network)
            return Webhook(table["url"], secret, transport.transport(TIMEOUT))

        made = self._components.get("webhook", {"table": table, "network": config.network}, make)
        made.check()
        return made

    def _provider(
        self,
        name: str,
        table: Table,
        upstream: GatewayProvider,
        store: Store,
        refreshed: partial[None],
    ) -> ConnectionProvider:
        recheck = (self._config.connections or {})["recheck"]
        configuration = {
            "name": name,
            "table": table,
            "recheck": recheck,
            "keep_alive": refreshed.args,
            "made": [id(upstream), id(store), upstream.found is not None],
        }
        made = self._components.get(
            "connection provider",
            configuration,
            lambda: ConnectionProvider(name, table, upstream, store, recheck, refreshed=refreshed),
        )
        if made.discovered:
            endpoint = "device_authorization" if made.device else "authorization"
            made.client.provider.endpoint(endpoint)
            if not made.device:
                AuthorizationCodeFlow(
                    made.client, scope=made.scope, extra=made.extra, resource=made.resource
                )
        return made


class _Opened:
    """Records that several versions of the connections share; closed when none uses them."""

    def __init__(self, records: ConnectionRecords) -> None:
        self.records = records

    async def close_async(self) -> None:
        await self.records.close()


def connection_warnings(config: ConfigFile) -> Iterator[str]:
    """Yield warnings about settings of connections."""
    if config.connections is None:
        return
    if config.gateway["store"]["kind"] == "memory":
        yield (
            "The connections of users are kept in memory: a restart disconnects all users. Set "
            "store in [gateway] to sql or redis."
        )
    if "login" not in config.connections:
        yield (
            "Users cannot connect accounts in a browser: [connections] has no login. Add login = "
            "{ issuer = ..., client_id = ... }."
        )
