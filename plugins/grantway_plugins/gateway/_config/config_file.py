"""The gateway's configuration file, whose mistakes are all reported at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from marshmallow import Schema

from grantway._exceptions import ConfigurationError
from grantway._processes.copies import OneProcess
from grantway._secrets.masked import Masked
from grantway_plugins._config.components import Components
from grantway_plugins._config.network import NetworkTable
from grantway_plugins._config.partial_table import InvalidKeyError, PartialTable
from grantway_plugins._config.plugin_tables import check_plugin_settings
from grantway_plugins._config.toml_file import (
    KeyPath,
    Mistake,
    TomlFile,
    dotted,
    nearest,
)
from grantway_plugins._paths import expand
from grantway_plugins.gateway._inbound.binding_keys import Keys, derived_key
from grantway_plugins.stores.encrypted._keys import KeySource, from_value

from .connections_tables import ConnectionProviderTable, ConnectionsTable
from .cross_checks import CrossChecks
from .inbound_tables import InboundIssuerTable, InboundTable
from .tables import (
    AuthorizeTable,
    GatewayProviderTable,
    GatewayTable,
    RouteTable,
    TenantTable,
    TokenEndpointTable,
)

_TOP = (
    "gateway",
    "network",
    "authorize",
    "connections",
    "inbound",
    "plugins",
    "providers",
    "routes",
    "tenants",
    "token_endpoint",
)
_MISSING = "name it with --config; it holds tables [providers.NAME] and [routes.NAME]"
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
TENANT = re.compile(r"[A-Za-z0-9._~:@|+=-]{1,128}")
#: The mistake of a setting that only a restart can change.
FIXED = "cannot change while the gateway runs; restart it"


class ConfigFile(OneProcess):
    """The contents of a gateway's file, checked without sending requests to providers.

    Args:
        path: Path of the file.
        content: Content to use instead of reading the file.
        require_valid: Whether mistakes raise an error. Without it, tables with mistakes are
            ``PartialTable``, and ``build_runtime`` reports the mistakes together with its own.
        before: The contents of the file that a running gateway uses.

    Raises:
        ConfigurationError: The file is missing, is not TOML, or has mistakes. The message gives
            the file, line and rule of each.

    Attributes:
        mistakes: All mistakes in the file.
        gateway: ``[gateway]``.
        authorize: ``[authorize]``, or None.
        connections: ``[connections]`` without its providers, or None.
        connection_providers: ``[connections.providers.NAME]``, by name.
        inbound: ``[inbound]`` with its issuers as ``issuer``, or None.
        network: ``[network]``: defaults for providers and routes.
        providers: ``[providers.NAME]``, by name.
        routes: ``[routes.NAME]``, by name, each with its ``grant``.
        tenants: ``[tenants.NAME.PROVIDER]``, by tenant and provider.
        token_endpoint: ``[token_endpoint]``, or None.
        components: Creates components from tables.
    """

    stays = "it may hold secrets; read the file in the process that uses it"

    def __init__(
        self,
        path: str | Path,
        content: bytes | None = None,
        *,
        require_valid: bool = True,
        before: ConfigFile | None = None,
    ) -> None:
        self.toml = TomlFile(
            Path(expand(path, "--config to an absolute path")).absolute(),
            content,
            name="gateway file",
            missing=_MISSING,
        )
        self.components = Components(self.toml)
        self.mistakes: list[Mistake] = []
        data = self.toml.data
        self.mistakes += [
            ((name,), f"is an unknown key; {nearest(name, _TOP)}")
            for name in data
            if name not in _TOP
        ]
        if before is None:
            self.mistakes += check_plugin_settings(self.toml) if "plugins" in data else []
        elif data.get("plugins") != before.toml.data.get("plugins"):
            self.mistakes.append((("plugins",), FIXED))
        self.gateway = self._table(GatewayTable(), data.get("gateway", {}), ("gateway",))
        self.network = self._table(NetworkTable(), data.get("network", {}), ("network",))
        self.authorize = self._optional(AuthorizeTable(), "authorize")
        self.inbound = self._read_inbound()
        self.connections = self._optional(ConnectionsTable(), "connections")
        self.connection_providers = self._read_connection_providers()
        self.token_endpoint = self._optional(TokenEndpointTable(), "token_endpoint")
        self.providers = self._tables(GatewayProviderTable(), "providers")
        self.routes = self._tables(RouteTable(), "routes")
        self.tenants = self._read_tenants()
        for check in CrossChecks(self).run():
            with suppress(InvalidKeyError):
                self.mistakes.extend(check)
        if self.mistakes and require_valid:
            raise self.toml.wrong(self.mistakes)
        for at, _ in self.mistakes:
            self._invalidate(at)

    @property
    def path(self) -> Path:
        """Path of the file."""
        return self.toml.path

    # --- Reading ----------------------------------------------------------------------------------

    def _table(self, schema: Schema, table: Any, at: KeyPath) -> dict[str, Any]:
        """Return a validated table, and record its mistakes."""
        if not isinstance(table, Mapping):
            self.mistakes.append((at, f"must be a table, like [{dotted(at)}]"))
            return PartialTable(schema.fields)
        read, mistakes = self.toml.validate(schema, table, at)
        self.mistakes += mistakes
        return read

    def _optional(self, schema: Schema, name: str) -> dict[str, Any] | None:
        table = self.toml.data.get(name)
        return None if table is None else self._table(schema, table, (name,))

    def _tables(self, schema: Schema, name: str) -> dict[str, dict[str, Any]]:
        """Return tables by name, including those with mistakes."""
        tables = self.toml.data.get(name, {})
        if not isinstance(tables, Mapping):
            self.mistakes.append(((name,), f"must be tables, like [{name}.NAME]"))
            return {}
        if not tables and name != "tenants" and not self.toml.data.get("token_endpoint"):
            self.mistakes.append(((name,), f"is missing; give at least one table [{name}.NAME]"))
        found = {}
        for each, table in tables.items():
            if not _NAME.fullmatch(each):
                rule = "is not a valid name; use 1 to 64 letters, digits, dots, _ and -"
                self.mistakes.append(((name, each), rule))
            found[each] = self._table(schema, table, (name, each))
        return found

    def _read_inbound(self) -> dict[str, Any] | None:
        table = self.toml.data.get("inbound")
        if table is None:
            return None
        found = self._table(InboundTable(), table, ("inbound",))
        listed = table.get("issuer") if isinstance(table, Mapping) else None
        at = ("inbound", "issuer")
        if not isinstance(listed, list) or not listed:
            self.mistakes.append((at, "must be tables: give at least one table [[inbound.issuer]]"))
            listed = []
        found["issuer"] = [
            self._table(InboundIssuerTable(), each, (*at, str(number)))
            for number, each in enumerate(listed, 1)
        ]
        return found

    def _read_connection_providers(self) -> dict[str, dict[str, Any]]:
        table = self.toml.data.get("connections")
        if not isinstance(table, Mapping):
            return {}
        at = ("connections", "providers")
        listed = table.get("providers", {})
        if not isinstance(listed, Mapping) or not listed:
            rule = f"must be tables: give at least one table [{dotted(at)}.NAME]"
            self.mistakes.append((at, rule))
            return {}
        return {
            name: self._table(ConnectionProviderTable(), each, (*at, name))
            for name, each in listed.items()
        }

    def _read_tenants(self) -> dict[str, dict[str, dict[str, Any]]]:
        tenants: dict[str, dict[str, dict[str, Any]]] = {}
        listed = self.toml.data.get("tenants", {})
        if not isinstance(listed, Mapping):
            self.mistakes.append((("tenants",), "must be tables, like [tenants.acme]"))
            return {}
        for tenant, providers in listed.items():
            at = ("tenants", tenant)
            if not TENANT.fullmatch(tenant):
                rule = "is not a valid tenant name; use 1 to 128 of A-Z a-z 0-9 . _ ~ : @ | + = -"
                self.mistakes.append((at, rule))
            if not isinstance(providers, Mapping):
                self.mistakes.append((at, f"must be a table, like [{dotted(at)}]"))
                continue
            tenants[tenant] = {}
            for provider, table in providers.items():
                if provider not in self.providers:
                    rule = f"is not a provider in this file; {nearest(provider, self.providers)}"
                    self.mistakes.append(((*at, provider), rule))
                tenants[tenant][provider] = self._table(TenantTable(), table, (*at, provider))
        return tenants

    def _invalidate(self, path: KeyPath) -> None:
        """Mark a key as invalid, so that nothing uses it and no follow-up mistake is reported."""
        holder: dict[str, Any] = vars(self)
        depth = {"providers": 1, "routes": 1, "tenants": 2}.get(path[0], 0)
        if len(path) < depth + 2:
            return  # a mistake of the table as a whole
        for name in path[:depth]:
            holder = holder.get(name) or {}
        if isinstance(table := holder.get(path[depth]), dict):
            holder[path[depth]] = PartialTable.without(path[depth + 1], table)

    def connection_keys(self) -> KeySource:
        """Return the source of the keys in ``[connections]``, which reads them again if needed.

        Raises:
            ConfigurationError: The keys cannot be read, or are invalid; names the line.
        """
        at = ("connections", "key")
        table = self.connections or {}

        def read() -> Masked[tuple[bytes, ...]]:
            text: Masked[Keys] = Masked(self.components.read_secret(table["key"], at))
            try:
                return from_value(text, "key")()
            except ConfigurationError as error:
                rules = error.errors["key"]
            raise self.toml.wrong([(at, rule) for rule in rules])

        read()
        return read

    def binding_keys(self) -> Masked[KeySource | None]:
        """Return the keys in ``[token_endpoint]``, or one derived from the client's secret.

        Returns None if the provider's table has mistakes, which are reported separately.

        Raises:
            ConfigurationError: A key is missing or invalid; ``errors`` names its table key.
        """
        table = {} if self.token_endpoint is None else self.token_endpoint
        if "binding_key" in table:
            at = ("token_endpoint", "binding_key")
            try:
                text: Masked[Keys] = Masked(self.components.read_secret(table["binding_key"], at))
            except ConfigurationError as error:
                rules = [rule for found in error.errors.values() for rule in found]
                raise ConfigurationError(error.message, errors={"binding_key": rules}) from None
            return Masked(from_value(text, "binding_key"))
        provider = self.providers.get(table.get("provider", ""))
        if not provider:
            return Masked(None)
        if "client_secret" in provider:
            place = ("providers", table["provider"], "client_secret")
            try:
                secret = Masked(self.components.read_secret(provider["client_secret"], place))
            except ConfigurationError:
                return Masked(None)
            return Masked(derived_key(secret, provider["client_id"]))
        rule = (
            f"is missing: {table['provider']} has no client secret to derive the key from. The key "
            "binds refresh tokens and codes to the caller; name the source of 32 random bytes in "
            "base64, as returned by grantway_plugins.stores.generate_key()"
        )
        raise ConfigurationError(f"binding_key: {rule}", errors={"binding_key": [rule]})
