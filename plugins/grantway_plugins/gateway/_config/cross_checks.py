"""Checks of a gateway's file that need several tables, or the registered plugins."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from grantway._exceptions import ConfigurationError, RegistryError, RequestInvalidError
from grantway._plugins.default_registry import default_registry
from grantway._secrets.params import Params
from grantway_grants.device_code import GRANT_TYPE as DEVICE_CODE
from grantway_plugins._config.network import NetworkSettings
from grantway_plugins._config.partial_table import InvalidKeyError
from grantway_plugins._config.secret_field import is_source
from grantway_plugins._config.toml_file import KeyPath, Mistake, mistakes_of, nearest
from grantway_plugins.gateway.upstream._paths import normal_path
from grantway_plugins.gateway.upstream._rejection import RequestRejectedError
from grantway_plugins.gateway.upstream._request_context import normal_host
from grantway_plugins.gateway.upstream._tenant import needs_caller
from grantway_plugins.grants.token_exchange import ACCESS_TOKEN, GRANT_TYPE as EXCHANGE
from grantway_plugins.profiles._parameter_rule import parameter_rule

from .connections_checks import ConnectionsChecks
from .connections_tables import CONNECTION
from .placeholder import PLACEHOLDER, fill_tenant
from .tables import CALLER_KEYS

if TYPE_CHECKING:
    from .config_file import ConfigFile

Table = Mapping[str, Any]
#: Tenant name used to check parameters before any request.
_ANY_TENANT = "tenant"


class CrossChecks:
    """The checks of a file whose tables have been validated one by one.

    Args:
        config: The file.
    """

    def __init__(self, config: ConfigFile) -> None:
        self._config = config

    def run(self) -> Iterator[Iterator[Mistake]]:
        """Yield checks one by one, so that an invalid key stops only the check that reads it."""
        yield self._plugins()
        yield self._stores()
        yield self._network()
        yield self._listeners()
        if self._config.inbound is not None:
            yield self._certificate_header(self._config.inbound)
            yield self._issuers(self._config.inbound)
        for name, table in self._config.providers.items():
            yield self._dialect(("providers", name), table)
            yield self._secret(table, ("providers", name))
        for tenant, providers in self._config.tenants.items():
            for name, table in providers.items():
                yield self._secret(table, ("tenants", tenant, name))
        connections = ConnectionsChecks(self._config)
        for name, table in self._config.routes.items():
            at = ("routes", name)
            yield connections.route(at, table)
            yield self._known_provider(at, table)
            yield self._upstream(at, table)
            yield self._address(at, table, "host", normal_host)
            yield self._address(at, table, "path", normal_path)
            yield self._grant(at, table)
            yield self._caller(at, table)
        yield self._overlaps()
        yield from connections.run()
        if self._config.token_endpoint is not None:
            endpoint = ("token_endpoint",)
            yield self._known_provider(endpoint, self._config.token_endpoint)
            yield self._allowed(endpoint, self._config.token_endpoint)
            yield self._endpoint_path(endpoint, self._config.token_endpoint)
            yield self._keys(endpoint)

    def _plugins(self) -> Iterator[Mistake]:
        """Report required plugins that are not loaded, because their middleware would not run."""
        registry = default_registry()
        for name in self._config.gateway.get("require_plugins", ()):
            try:
                registry.require([name])
            except RegistryError as error:
                yield ("gateway", "require_plugins"), f"is not satisfied: {error.message}"

    def _stores(self) -> Iterator[Mistake]:
        table = self._config.gateway.get("store")
        if table and table["kind"] not in (known := default_registry().stores):
            rule = f"is not a known store: {table['kind']}; {nearest(table['kind'], known)}"
            yield ("gateway", "store", "kind"), rule

    def _network(self) -> Iterator[Mistake]:
        config = self._config
        settings = NetworkSettings(config.components, config.network, ("network",), {})
        try:
            settings.transport(1.0).close()
        except ConfigurationError as error:
            if not str(error).startswith(str(config.path)):
                return  # caused by an environment variable, which each provider reports
            yield from mistakes_of(error)

    def _listeners(self) -> Iterator[Mistake]:
        """Report two listeners with the same address, of which only one could be opened."""
        taken: dict[tuple[str, int], str] = {}
        for name, table in (
            ("gateway", self._config.gateway),
            ("authorize", self._config.authorize),
        ):
            for key in ("listen", "admin", "grpc_listen"):
                address = (table or {}).get(key)
                if address is None or address[1] == 0:  # the system picks a free port
                    continue
                first = taken.setdefault(address, f"{name}.{key}")
                if first != f"{name}.{key}":
                    yield (name, key), f"is also the address of {first}; choose another port"

    def _certificate_header(self, table: Table) -> Iterator[Mistake]:
        if "client_certificate_header" in table and not self._config.gateway["trusted_proxies"]:
            rule = "needs trusted_proxies in [gateway]: the proxies that set the header"
            yield ("inbound", "client_certificate_header"), rule

    def _issuers(self, inbound: Table) -> Iterator[Mistake]:
        named: set[str] = set()
        asked: list[KeyPath] = []
        for number, table in enumerate(inbound["issuer"], 1):
            at = ("inbound", "issuer", str(number))
            if table["issuer"] in named:
                yield (*at, "issuer"), "is in another table already; combine them"
            named.add(table["issuer"])
            if "introspection" in table:
                asked.append((*at, "introspection"))
                yield from self._secret(table["introspection"], asked[-1])
        for path in asked[1:]:
            yield path, "is allowed for one issuer, because opaque tokens do not name their issuer"

    def _caller(self, at: KeyPath, table: Table) -> Iterator[Mistake]:
        if self._config.inbound is not None:
            return
        needless = [name for name in CALLER_KEYS if name in table]
        if needs_caller(table["tenant"]):
            needless.append("tenant")
        if table["anonymous"]:
            needless.append("anonymous")
        for name in needless:
            yield (*at, name), "needs a table [inbound], which verifies the callers"

    def _dialect(self, at: KeyPath, table: Table) -> Iterator[Mistake]:
        known = default_registry().dialects
        if table["dialect"] not in known:
            yield (*at, "dialect"), f"is not a known dialect; {nearest(table['dialect'], known)}"

    def _secret(self, table: Table, at: KeyPath) -> Iterator[Mistake]:
        for name in ("client_secret", "client_assertion"):
            if name not in table:
                continue
            try:
                self._config.components.read_secret(table[name], (*at, name))
            except ConfigurationError as error:
                yield from mistakes_of(error)

    def _known_provider(self, at: KeyPath, table: Table) -> Iterator[Mistake]:
        if table["provider"] not in (known := self._config.providers):
            rule = f"is not a provider in this file; {nearest(table['provider'], known)}"
            yield (*at, "provider"), rule

    def _upstream(self, at: KeyPath, table: Table) -> Iterator[Mistake]:
        if "upstream" not in table and "authorize" not in self._config.toml.data:
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
        if grant == CONNECTION:
            return
        known = default_registry().grants
        if grant not in known:
            yield (
                (*at, "grant"),
                f"is not registered by any plugin; {nearest(grant, [*known, CONNECTION])}",
            )
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
            grant.load(fill_tenant(given, _ANY_TENANT), partial=bool(sources))
        except RequestInvalidError as error:
            found = error.errors
        else:
            return
        overridden = {
            name
            for providers in self._config.tenants.values()
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
                self._config.components.secret(params[name], (*at, name))
            except ConfigurationError as error:
                yield from mistakes_of(error)
        return found

    def _overlaps(self) -> Iterator[Mistake]:
        taken: dict[tuple[str, str], str] = {}
        for name, table in self._config.routes.items():
            try:
                host, path = table.get("host", ""), table["path"].rstrip("/") or "/"
            except InvalidKeyError:
                continue
            first = taken.setdefault((host, path), name)
            if first != name:
                line = self._config.toml.line(("routes", first))
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
        for name, route in self._config.routes.items():
            with suppress(InvalidKeyError):
                if what := taken.get(route["path"].rstrip("/")):
                    yield (*at, "path"), f"{what} also the path of the route {name}; change one"

    def _keys(self, at: KeyPath) -> Iterator[Mistake]:
        try:
            self._config.binding_keys()
        except ConfigurationError as error:
            yield from (((*at, key), rule) for key, rules in error.errors.items() for rule in rules)


def device_path(path: str) -> str:
    """Return the path of the device authorization endpoint, next to the token endpoint."""
    return f"{path.rpartition('/')[0]}/device_authorization"
