"""The gateway's configuration file, whose mistakes are all reported at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from marshmallow import Schema

from grantway._exceptions import ConfigurationError, RegistryError, RequestInvalidError
from grantway._plugins.default_registry import default_registry
from grantway._processes.copies import OneProcess
from grantway._secrets.masked import Masked
from grantway._secrets.params import Params
from grantway_grants.device_code import GRANT_TYPE as DEVICE_CODE
from grantway_plugins._config.components import Components
from grantway_plugins._config.network import NetworkSettings, NetworkTable
from grantway_plugins._config.partial_table import InvalidKeyError, PartialTable
from grantway_plugins._config.plugin_tables import check_plugin_settings
from grantway_plugins._config.secret_field import is_source
from grantway_plugins._config.toml_file import (
    KeyPath,
    Mistake,
    TomlFile,
    dotted,
    mistakes_of,
    nearest,
)
from grantway_plugins._paths import expand
from grantway_plugins.gateway._inbound.binding_keys import Keys, derived_key
from grantway_plugins.gateway.upstream._paths import normal_path
from grantway_plugins.gateway.upstream._rejection import RequestRejectedError
from grantway_plugins.gateway.upstream._request_context import normal_host
from grantway_plugins.grants.token_exchange import ACCESS_TOKEN, GRANT_TYPE as EXCHANGE
from grantway_plugins.profiles._parameter_rule import parameter_rule
from grantway_plugins.stores.encrypted._keys import KeySource, from_value

from .placeholder import PLACEHOLDER, fill_tenant
from .tables import (
    AuthorizeTable,
    GatewayProviderTable,
    GatewayTable,
    RouteTable,
    TenantTable,
    TokenEndpointTable,
)

Table = Mapping[str, Any]

_TOP = (
    "gateway",
    "network",
    "authorize",
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
#: Tenant name used to check parameters before any request.
ANY_TENANT = "tenant"


class ConfigFile(OneProcess):
    """The contents of a gateway's file, checked without sending requests to providers.

    Args:
        path: Path of the file.
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
        network: ``[network]``: defaults for providers and routes.
        providers: ``[providers.NAME]``, by name.
        routes: ``[routes.NAME]``, by name, each with its ``grant``.
        tenants: ``[tenants.NAME.PROVIDER]``, by tenant and provider.
        token_endpoint: ``[token_endpoint]``, or None.
        components: Creates components from tables.
    """

    stays = "it may hold secrets; read the file in the process that uses it"

    def __init__(
        self, path: str | Path, *, require_valid: bool = True, before: ConfigFile | None = None
    ) -> None:
        self.toml = TomlFile(
            Path(expand(path, "--config to an absolute path")).absolute(),
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
        self.token_endpoint = self._optional(TokenEndpointTable(), "token_endpoint")
        self.providers = self._tables(GatewayProviderTable(), "providers")
        self.routes = self._tables(RouteTable(), "routes")
        self.tenants = self._read_tenants()
        for check in self._checks():
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

    # --- Checks across tables ---------------------------------------------------------------------

    def _checks(self) -> Iterator[Iterator[Mistake]]:
        """Yield checks one by one, so that an invalid key stops only the check that reads it."""
        yield self._plugins()
        yield self._stores()
        yield self._network()
        for name, table in self.providers.items():
            yield self._dialect(("providers", name), table)
            yield self._secret(table, ("providers", name))
        for tenant, providers in self.tenants.items():
            for name, table in providers.items():
                yield self._secret(table, ("tenants", tenant, name))
        for name, table in self.routes.items():
            at = ("routes", name)
            yield self._known_provider(at, table)
            yield self._upstream(at, table)
            yield self._address(at, table, "host", normal_host)
            yield self._address(at, table, "path", normal_path)
            yield self._grant(at, table)
        yield self._overlaps()
        if self.token_endpoint is not None:
            endpoint = ("token_endpoint",)
            yield self._known_provider(endpoint, self.token_endpoint)
            yield self._allowed(endpoint, self.token_endpoint)
            yield self._endpoint_path(endpoint, self.token_endpoint)
            yield self._keys(endpoint)

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

    def _plugins(self) -> Iterator[Mistake]:
        """Report required plugins that are not loaded, because their middleware would not run."""
        registry = default_registry()
        for name in self.gateway.get("require_plugins", ()):
            try:
                registry.require([name])
            except RegistryError as error:
                yield ("gateway", "require_plugins"), f"is not satisfied: {error.message}"

    def _stores(self) -> Iterator[Mistake]:
        table = self.gateway.get("store")
        if table and table["kind"] not in (known := default_registry().stores):
            rule = f"is not a known store: {table['kind']}; {nearest(table['kind'], known)}"
            yield ("gateway", "store", "kind"), rule

    def _network(self) -> Iterator[Mistake]:
        try:
            NetworkSettings(self.components, self.network, ("network",), {}).transport(1.0).close()
        except ConfigurationError as error:
            if not str(error).startswith(str(self.path)):
                return  # caused by an environment variable, which each provider reports
            yield from mistakes_of(error)

    def _dialect(self, at: KeyPath, table: Table) -> Iterator[Mistake]:
        known = default_registry().dialects
        if table["dialect"] not in known:
            yield (*at, "dialect"), f"is not a known dialect; {nearest(table['dialect'], known)}"

    def _secret(self, table: Table, at: KeyPath) -> Iterator[Mistake]:
        for name in ("client_secret", "client_assertion"):
            if name not in table:
                continue
            try:
                self.components.read_secret(table[name], (*at, name))
            except ConfigurationError as error:
                yield from mistakes_of(error)

    def _known_provider(self, at: KeyPath, table: Table) -> Iterator[Mistake]:
        if table["provider"] not in self.providers:
            rule = f"is not a provider in this file; {nearest(table['provider'], self.providers)}"
            yield (*at, "provider"), rule

    def _upstream(self, at: KeyPath, table: Table) -> Iterator[Mistake]:
        if "upstream" not in table and "authorize" not in self.toml.data:
            yield (*at, "upstream"), "is missing; it is optional only in a file with [authorize]"

    def _address(
        self, at: KeyPath, table: dict[str, Any], name: str, read: Callable[[str], str]
    ) -> Iterator[Mistake]:
        given = table.get(name, "")
        if not given:
            return
        try:
            table[name] = read(given)
        except RequestRejectedError as error:
            yield (*at, name), f"cannot be matched: {error.message}"
            return
        if name == "host" and table[name] != given.lower():
            yield (*at, name), "must be a host without a port; a route matches every port"

    def _grant(self, at: KeyPath, table: dict[str, Any]) -> Iterator[Mistake]:
        default = EXCHANGE if table["incoming"] == "exchange" else "client_credentials"
        grant = table.setdefault("grant", default)
        known = default_registry().grants
        if grant not in known:
            yield (*at, "grant"), f"is not registered by any plugin; {nearest(grant, known)}"
        else:
            yield from self._params(at, table)

    def _params(self, at: KeyPath, table: Table) -> Iterator[Mistake]:
        """Check the parameters against the grant's schema, with a sample tenant name."""
        grant = default_registry().grants[table["grant"]]
        params = table.get("params", {})
        given = Params({name: value for name, value in params.items() if not is_source(value)})
        sources = yield from self._sources((*at, "params"), params)
        if table.get("scope"):
            given["scope"] = table["scope"]
        if table["incoming"] == "exchange":
            given.setdefault("subject_token", "x")
            given.setdefault("subject_token_type", ACCESS_TOKEN)
        try:
            grant.load(fill_tenant(given, ANY_TENANT), partial=bool(sources))
        except RequestInvalidError as error:
            found = error.errors
        else:
            return
        overridden = {
            name
            for providers in self.tenants.values()
            for name in providers.get(table["provider"], {}).get("params") or {}
        }
        for name, rules in found.items():
            if name in overridden and name not in given:
                continue  # listed tenants set it themselves, and others get an error
            key = (*at, "scope") if name == "scope" else (*at, "params", name)
            yield from ((key, parameter_rule(rule)) for rule in rules)

    def _sources(self, at: KeyPath, params: Table) -> Generator[Mistake, None, list[str]]:
        """Report mistakes in the secret sources among parameters; return the names."""
        found = [name for name, value in params.items() if is_source(value)]
        for name in found:
            if PLACEHOLDER in repr(dict(params[name])):
                yield (*at, name), f"cannot contain {PLACEHOLDER}; set it in the tables of tenants"
            try:
                self.components.secret(params[name], (*at, name))
            except ConfigurationError as error:
                yield from mistakes_of(error)
        return found

    def _overlaps(self) -> Iterator[Mistake]:
        taken: dict[tuple[str, str], str] = {}
        for name, table in self.routes.items():
            try:
                host, path = table.get("host", ""), table["path"].rstrip("/") or "/"
            except InvalidKeyError:
                continue
            first = taken.setdefault((host, path), name)
            if first != name:
                line = self.toml.line(("routes", first))
                rule = (
                    f"matches {host or 'any host'} and {path}, like {first} in line {line}; "
                    "change the host or path of one of them"
                )
                yield ("routes", name), rule

    def _allowed(self, at: KeyPath, table: Table) -> Iterator[Mistake]:
        known = default_registry().grants
        for grant in table["allow"]:
            if grant not in known:
                yield (
                    (*at, "allow"),
                    f"has {grant}, which no plugin registers; {nearest(grant, known)}",
                )

    def _endpoint_path(self, at: KeyPath, table: Table) -> Iterator[Mistake]:
        try:
            path = normal_path(table["path"])
        except RequestRejectedError as error:
            yield (*at, "path"), f"cannot be matched: {error.message}"
            return
        taken = {path: "is"}
        if DEVICE_CODE in table["allow"]:
            taken[device_path(path)] = f"puts device authorization at {device_path(path)}, which is"
        for name, route in self.routes.items():
            with suppress(InvalidKeyError):
                if what := taken.get(route["path"].rstrip("/")):
                    yield (*at, "path"), f"{what} also the path of the route {name}; change one"

    def _keys(self, at: KeyPath) -> Iterator[Mistake]:
        try:
            self.binding_keys()
        except ConfigurationError as error:
            yield from (((*at, key), rule) for key, rules in error.errors.items() for rule in rules)

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


def device_path(path: str) -> str:
    """Return the path of the device authorization endpoint, next to the token endpoint."""
    return f"{path.rpartition('/')[0]}/device_authorization"
