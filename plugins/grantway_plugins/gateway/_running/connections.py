"""The connections of users, from ``[connections]`` of the gateway's file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from grantway._credentials.fingerprint import fingerprint
from grantway_grants.authorization_code import AuthorizationCodeFlow
from grantway_plugins._config.toml_file import KeyPath
from grantway_plugins.gateway._config import ConfigFile
from grantway_plugins.gateway._connections._records.opening import open_records
from grantway_plugins.gateway._connections.provider import ConnectionProvider
from grantway_plugins.gateway._connections.sealed_json import SealedJson
from grantway_plugins.gateway._connections.service import Connections
from grantway_plugins.gateway._connections.settings import ConnectionsSettings
from grantway_plugins.stores.encrypted._store import encrypted_with

if TYPE_CHECKING:
    from grantway._types.store import Store
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
    """

    def __init__(
        self,
        config: ConfigFile,
        components: ComponentCache,
        attempt: Callable[[KeyPath, Callable[[], Any]], Any],
    ) -> None:
        self._config, self._components, self._attempt = config, components, attempt

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
        connectable = {
            name: made
            for name, each in config.connection_providers.items()
            if name in providers
            and (
                made := self._attempt(
                    ("connections", "providers", name),
                    partial(self._provider, name, each, providers[name], encrypted),
                )
            )
        }
        settings = ConnectionsSettings.of(table)
        return components.get(
            "connections",
            {
                **encryption,
                "settings": repr(settings),
                "webhook": table.get("webhook"),
                "made": [id(each) for each in (opened, encrypted, *connectable.values())],
            },
            lambda: Connections(settings, connectable, opened.records, encrypted, SealedJson(keys)),
        )

    def _provider(
        self, name: str, table: Table, upstream: GatewayProvider, store: Store
    ) -> ConnectionProvider:
        recheck = (self._config.connections or {})["recheck"]
        configuration = {
            "name": name,
            "table": table,
            "recheck": recheck,
            "made": [id(upstream), id(store), upstream.found is not None],
        }
        made = self._components.get(
            "connection provider",
            configuration,
            lambda: ConnectionProvider(name, table, upstream, store, recheck),
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
