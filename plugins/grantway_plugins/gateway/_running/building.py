"""Create the components that a gateway's file describes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from grantway._credentials.fingerprint import fingerprint
from grantway._credentials.pool import CredentialPool
from grantway._exceptions import ConfigurationError, GrantwayError
from grantway._types.store import Store
from grantway_grants.device_code import GRANT_TYPE as DEVICE_CODE
from grantway_plugins._config.network import NetworkSettings
from grantway_plugins._config.partial_table import InvalidKeyError, PartialTable
from grantway_plugins._config.toml_file import KeyPath, mistakes_of
from grantway_plugins.gateway._config import ConfigFile
from grantway_plugins.gateway._config.connections_tables import CONNECTION
from grantway_plugins.gateway._connections.service import Connections
from grantway_plugins.gateway._connections.tokens import ConnectionTokens
from grantway_plugins.gateway._forwarding.target import Target
from grantway_plugins.gateway._inbound.broker import Broker
from grantway_plugins.gateway._inbound.device_authorization import DeviceAuthorizationEndpoint
from grantway_plugins.gateway._inbound.token_endpoint import TokenEndpoint
from grantway_plugins.gateway._protection import (
    BreakerRules,
    BulkheadRules,
    FailureRecord,
    Protection,
)
from grantway_plugins.gateway.upstream._route import Route, Source
from grantway_plugins.gateway.upstream._upstream_auth import UpstreamAuth

from .component_cache import ComponentCache
from .connections import ConnectionsBuilder
from .gateway_provider import GatewayProvider
from .inbound import make_inbound, nonce_key, removed_headers
from .listener_certificate import make_certificate
from .route_tokens import RouteTokens
from .runtime import Runtime
from .store_watch import StoreWatch
from .upstream_health import UpstreamHealth

if TYPE_CHECKING:
    from grantway_plugins.gateway._metrics import GatewayMetrics
    from grantway_plugins.resource import ProtectedResource, SharedProofs
    from grantway_plugins.server._tls.certificate import ServerCertificate

#: Maximum number of providers to discover concurrently.
_AT_ONCE = 8


def build_runtime(
    config: ConfigFile,
    *,
    before: Runtime | None = None,
    metrics: GatewayMetrics | None = None,
    used_proofs: SharedProofs | None = None,
) -> Runtime:
    """Build the components that a file describes. Fetches provider metadata, so it can take long.

    Args:
        config: The file. Its mistakes are reported together with those found here.
        before: The running components; those with unchanged configuration are reused.
        metrics: Records events.
        used_proofs: Used DPoP proofs that worker processes share, or None.

    Raises:
        ConfigurationError: Lists every mistake with file, line and reason.
    """
    components = ComponentCache(None if before is None else before.components)
    try:
        return _RuntimeBuilder(config, components, metrics, used_proofs).run()
    except BaseException:
        # Close the new components; the reused ones are still in use.
        components.close(None if before is None else before.components)
        raise


class _RuntimeBuilder:
    def __init__(
        self,
        config: ConfigFile,
        components: ComponentCache,
        metrics: GatewayMetrics | None,
        used_proofs: SharedProofs | None,
    ) -> None:
        self._config, self._components, self._metrics = config, components, metrics
        self._used_proofs = used_proofs
        self._mistakes: list[tuple[KeyPath, str]] = list(config.mistakes)
        self._protections: list[Protection] = []

    def run(self) -> Runtime:
        config = self._config
        certificate = self._attempt(("gateway", "tls"), self._certificate)
        store = self._attempt(("gateway", "store"), self._store)
        providers = {
            name: made
            for name, table in config.providers.items()
            if (made := self._attempt(("providers", name), partial(self._provider, name, table)))
        }
        inbound = None
        if config.inbound is not None:
            inbound = self._attempt(("inbound",), partial(self._inbound, config.inbound))
        self._attempt(("gateway",), partial(self._discover, list(providers.values())))
        connections = None
        if config.connections is not None and store is not None:
            connections = self._attempt(
                ("connections",), partial(self._connections, config.connections, providers, store)
            )
        routes = [
            made
            for name, table in config.routes.items()
            if store is not None
            and (
                made := self._attempt(
                    ("routes", name),
                    partial(self._route, name, table, providers, store, connections),
                )
            )
        ]
        self._attempt(("authorize", "grpc_listen"), self._check_grpc)
        endpoint = device_endpoint = None
        if (table := config.token_endpoint) is not None:
            broker = self._attempt(("token_endpoint",), partial(self._broker, table, providers))
            if broker is not None:
                endpoint = TokenEndpoint(broker, allow=table["allow"])
                if DEVICE_CODE in table["allow"]:
                    device_endpoint = DeviceAuthorizationEndpoint(broker)
        targets = {
            name: self._attempt(("routes", name), partial(self._target, name, table))
            for name, table in config.routes.items()
        }
        if self._mistakes:
            raise config.toml.wrong(self._mistakes)
        for name, provider in providers.items():
            provider.health.routes = self._routes_of(name)
            provider.protection.share(self._failure_record(provider, store))
        self._components.forget_before()
        if self._metrics is not None:
            # Not earlier: the metrics must not show components of a rejected file.
            for each in self._protections:
                self._metrics.watch(each)
        return Runtime(
            config=config,
            components=self._components,
            providers=providers,
            inbound=inbound,
            connections=connections,
            upstream=UpstreamAuth(routes, inbound=inbound, metrics=self._metrics),
            targets={name: each for name, each in targets.items() if each is not None},
            endpoint=endpoint,
            device_endpoint=device_endpoint,
            store_watch=self._store_watch(store),
            certificate=certificate,
        )

    def _attempt(self, at: KeyPath, make: Callable[[], Any]) -> Any:
        """Return the created component, or None after recording why it cannot be created."""
        try:
            return make()
        except InvalidKeyError:
            pass  # the mistake is already recorded
        except ConfigurationError as error:
            if str(error).startswith(str(self._config.path)):  # it has a line number already
                self._mistakes += mistakes_of(error)
            else:
                self._mistakes.append((at, f"is invalid: {error}"))
        except GrantwayError as error:
            self._mistakes.append((at, f"is invalid: {error}"))
        return None

    def _check_grpc(self) -> None:
        """Check that the libraries of the gRPC listener are installed, without importing them."""
        if not (self._config.authorize or {}).get("grpc_listen"):
            return
        for library in ("grpc", "google.protobuf"):
            with suppress(ModuleNotFoundError):  # `google` is missing, too
                if find_spec(library) is not None:
                    continue
            rule = f"requires {library}; install it with: pip install 'grantway[envoy]'"
            self._mistakes.append((("authorize", "grpc_listen"), rule))
            return

    # --- Components -------------------------------------------------------------------------------

    def _certificate(self) -> ServerCertificate | None:
        table = self._config.gateway.get("tls")
        if table is None:
            return None
        return self._components.get(
            "certificate", table, lambda: make_certificate(self._config, table)
        )

    def _store(self) -> Store:
        table = self._config.gateway["store"]
        return self._components.get(
            "store", table, lambda: self._config.components.store(table, ("gateway", "store"))
        )

    def _store_watch(self, store: Store | None) -> StoreWatch | None:
        table = self._config.gateway["store"]
        if store is None or not StoreWatch.watches(table):
            return None
        return self._components.get("store watch", table, lambda: StoreWatch(store))

    def _failure_record(
        self, provider: GatewayProvider, store: Store | None
    ) -> FailureRecord | None:
        """Return the record through which gateways share a provider's failures."""
        if store is None or not StoreWatch.watches(self._config.gateway["store"]):
            return None
        facts = {each: provider.table.get(each) for each in ("issuer", "token_endpoint")}
        key = fingerprint({"failures of": provider.name, **facts})
        return FailureRecord(store, f"grantway failures {key}")

    def _inbound(self, table: Mapping[str, Any]) -> ProtectedResource:
        gateway, network = self._config.gateway, self._config.network
        configuration = {
            "table": table,
            "proxies": gateway["trusted_proxies"],
            "network": network,
            "nonce key": nonce_key(self._config, table),
            "scopes": [dict.get(route, "scopes") for route in self._config.routes.values()],
        }
        made = self._components.get(
            "inbound",
            configuration,
            lambda: make_inbound(
                self._config,
                table,
                self._used_proofs,
                None if self._metrics is None else self._metrics.inbound,
            ),
        )
        if gateway["start"] == "strict":
            problems = made.problems()
            for number, each in enumerate(table["issuer"], 1):
                if problem := problems.get(each["issuer"]):
                    rule = f'is not available: {problem} (start = "degraded" starts without)'
                    at = ("inbound", "issuer", str(number), "issuer")
                    self._mistakes.append((at, rule))
        return made

    def _target(self, name: str, table: Mapping[str, Any]) -> Target | None:
        # Without proxy and client certificate, which are for requests to providers.
        common: dict[str, Any] = {
            key: self._common[key] for key in ("ca_bundle", "trust_env") if key in self._common
        }
        settings = NetworkSettings(self._config.components, table, ("routes", name), common)
        return Target.of(table, settings.upstream())

    def _provider(self, name: str, table: Mapping[str, Any]) -> GatewayProvider | None:
        at = ("providers", name)
        health = self._components.get("health", {"name": name}, lambda: UpstreamHealth(name))
        if not health.routes:  # a component in use must not change before the file is accepted
            health.routes = self._routes_of(name)
        differs, network = self._differs(name), self._config.network

        def make() -> GatewayProvider:
            rules = {each: table.get(each, {}) for each in ("breaker", "bulkhead")}
            protection = self._components.get(
                "protection", {"name": name, **rules}, lambda: self._protection(name, rules)
            )
            return self._components.get(
                "provider",
                {"name": name, "table": table, "differs": differs, "network": network},
                lambda: GatewayProvider(
                    name, table, self._config.components, health, protection, network=network
                ),
            )

        tables = (table, network, *differs.values())
        valid = not any(isinstance(each, PartialTable) for each in tables)
        if not valid:
            self._attempt(at, partial(self._check_network, table, at))
        made = self._attempt(at, make) if valid else None
        # Only for the checks, so without network settings; their mistakes are reported above.
        checked = made or GatewayProvider(
            name, {}, self._config.components, health, Protection(name), network={}
        )
        checked.table = table
        self._attempt(at, checked.check)
        for tenant, each in differs.items():
            self._attempt(("tenants", tenant, name), partial(checked.check, tenant, each))
        if made is None:
            checked.close()
        return made

    def _routes_of(self, provider: str) -> tuple[str, ...]:
        return tuple(
            name
            for name, table in self._config.routes.items()
            if not isinstance(table, PartialTable) and table["provider"] == provider
        )

    def _check_network(self, table: Mapping[str, Any], at: KeyPath) -> None:
        NetworkSettings(self._config.components, table, at, self._common).transport(1.0).close()

    @property
    def _common(self) -> Mapping[str, Any]:
        """Return ``[network]``, or an empty table if it has a mistake, which is reported once."""
        network = self._config.network
        return {} if isinstance(network, PartialTable) else network

    def _differs(self, provider: str) -> dict[str, Any]:
        return {
            tenant: providers[provider]
            for tenant, providers in self._config.tenants.items()
            if provider in providers
        }

    def _protection(self, name: str, rules: Mapping[str, Any]) -> Protection:
        made = Protection(
            name,
            breaker=BreakerRules(**rules["breaker"]),
            bulkhead=BulkheadRules(**rules["bulkhead"]),
        )
        self._protections.append(made)
        return made

    def _discover(self, providers: list[GatewayProvider]) -> None:
        todo = [each for each in providers if each.found is None]
        if not todo:
            return
        with ThreadPoolExecutor(min(_AT_ONCE, len(todo))) as threads:
            list(threads.map(GatewayProvider.discover, todo))
        if self._config.gateway["start"] == "degraded":
            return
        for each in todo:
            if each.found is None:
                named = "issuer" if "issuer" in each.table else "token_endpoint"
                rule = f'cannot be discovered: {each.problem} (start = "degraded" starts without)'
                self._mistakes.append((("providers", each.name, named), rule))

    def _route(
        self,
        name: str,
        table: Mapping[str, Any],
        providers: Mapping[str, GatewayProvider],
        store: Store,
        connections: Connections | None,
    ) -> Route | None:
        provider = providers.get(table["provider"])
        if provider is None:
            return None
        source: Source
        if table["grant"] == CONNECTION:
            if connections is None or provider.name not in connections.providers:
                return None  # reported already
            source = ConnectionTokens(connections, provider.name)
        else:
            source = self._source(name, table, provider, store)
        return Route(
            name,
            host=table.get("host", ""),
            path=table["path"],
            provider=provider.name,
            credential=source,
            tenant=table["tenant"],
            on_failure=table["on_failure"],
            incoming=table["incoming"],
            header=table["header"],
            scheme=table.get("scheme"),
            timeout=table.get("token_timeout"),
            forward_preflight=table["forward_preflight"],
            encoded_paths=table["encoded_paths"],
            scopes=table.get("scopes", ()),
            acr_values=table.get("acr_values", ()),
            max_age=table.get("max_age"),
            anonymous=table["anonymous"],
            remove=removed_headers(self._config.inbound),
        )

    def _source(
        self, route: str, table: Mapping[str, Any], provider: GatewayProvider, store: Store
    ) -> Source:
        """Return the source of a route's tokens. Routes with the same settings share it."""
        asked = {
            name: table.get(name)
            for name in ("provider", "grant", "scope", "params", "extra", "tenants", "incoming")
        }
        tenants = self._config.tenants
        recheck = self._config.gateway.get("recheck")
        configuration = {
            **asked,
            "recheck": recheck,
            # Both components are reused on a reload if they have not changed.
            "made": [id(provider), id(store), provider.found is not None],
            "listed": sorted(tenants) if table["tenants"] == "listed" else None,
            "differs": self._differs(provider.name),
        }
        tokens = RouteTokens(
            route, table, provider, store, tenants, self._config.components, recheck
        )
        if table["incoming"] == "exchange":
            return self._components.get("exchange", configuration, tokens.exchange)
        return self._components.get(
            "pool", configuration, lambda: CredentialPool(tokens.credential)
        )

    def _connections(
        self, table: Mapping[str, Any], providers: Mapping[str, GatewayProvider], store: Store
    ) -> Connections:
        metrics = None if self._metrics is None else self._metrics.connections
        builder = ConnectionsBuilder(self._config, self._components, self._attempt, metrics)
        return builder.build(table, providers, store)

    def _broker(
        self, table: Mapping[str, Any], providers: Mapping[str, GatewayProvider]
    ) -> Broker | None:
        provider = providers.get(table["provider"])
        keys = self._config.binding_keys()
        if provider is None or keys.value is None:
            return None
        configuration = {
            "table": table,
            "made": [id(provider), provider.found is not None],
            "keys": keys.value().value,
        }
        named = ("clients", "redirect_uris", "timeout", "threads", "waiting")
        options = {name: table[name] for name in named}
        return self._components.get(
            "broker",
            configuration,
            lambda: Broker(
                provider.client(), keys=keys.value, upstream=provider.upstream, **options
            ),
        )
