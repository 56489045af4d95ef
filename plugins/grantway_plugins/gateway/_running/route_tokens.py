"""The tokens of a route: the client and parameters of each tenant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from grantway._credentials.fingerprint import fingerprint
from grantway._secrets.params import Params
from grantway_plugins._config.secret_field import is_source
from grantway_plugins.gateway._config.placeholder import fill_tenant
from grantway_plugins.gateway.upstream._rejection import RequestRejectedError
from grantway_plugins.gateway.upstream._tenant import EVERYBODY
from grantway_plugins.gateway.upstream._token_exchange import TokenExchange

if TYPE_CHECKING:
    from grantway._credentials.credential import Credential
    from grantway._requests.client import Client
    from grantway._types.store import Store
    from grantway_plugins._config.components import Components

    from .gateway_provider import GatewayProvider

Table = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RouteTokens:
    """Creates the credentials of a route.

    Attributes:
        route: Name of the route in the file.
        table: Table of the route.
        provider: Provider of the tokens.
        store: Keeps the tokens.
        tenants: ``[tenants]`` of the file.
        components: Creates the secret sources of parameters.
        recheck: Seconds after which a token is compared with the stored one, or None.
    """

    route: str
    table: Table = field(repr=False)
    provider: GatewayProvider
    store: Store
    tenants: Mapping[str, Table] = field(repr=False)
    components: Components
    recheck: float | None = None

    def credential(self, tenant: str) -> Credential:
        """Return the credential of a tenant.

        Raises:
            RequestRejectedError: The tenant is not in the file, and the route requires it.
        """
        client = self._client(tenant)
        params, sources = self._params(tenant)
        subject = "" if tenant == EVERYBODY else tenant
        if sources:
            # The values are unknown, so their places identify the tokens of two routes.
            subject = f"{subject} {fingerprint(sources)}"
        discovered = self.provider.found is not None
        extra = {**(self.table.get("extra") or {}), **self._differs(tenant).get("extra", {})}
        return client.credential(
            grant_type=self.table["grant"],
            subject=subject,
            # Not before discovery, because the keys of tokens depend on the provider found.
            store=self.store if discovered else None,
            recheck=self.recheck if discovered else None,
            freshness=self.provider.freshness,
            extra=fill_tenant(extra, tenant) or None,
            **client.registry.grant(self.table["grant"]).names.to_arguments(params),
        )

    def exchange(self) -> TokenExchange:
        """Return the exchange of callers' tokens, with the same parameters for all tenants."""
        at = ("routes", self.route, "params")
        params = self.components.params(self.table.get("params") or {}, at)
        if self.table.get("scope"):
            params["scope"] = self.table["scope"]
        return TokenExchange(self._client, **params)

    def _client(self, tenant: str) -> Client:
        if self.table["tenants"] == "listed" and tenant not in self.tenants:
            raise RequestRejectedError("The tenant is unknown", status=403)
        return self.provider.client(tenant, self._differs(tenant) or None)

    def _differs(self, tenant: str) -> Table:
        """Return the tenant's own settings for the provider."""
        found: Table = self.tenants.get(tenant, {}).get(self.provider.name, {})
        return found

    def _params(self, tenant: str) -> tuple[Params, Table]:
        """Return the route's parameters, overridden by the tenant's, and the tables of sources."""
        own = self._differs(tenant)
        params, sources = Params(), dict[str, Any]()
        for at, table in (
            (("routes", self.route, "params"), self.table.get("params") or {}),
            (("tenants", tenant, self.provider.name, "params"), own.get("params", {})),
        ):
            for name, value in table.items():
                params[name] = fill_tenant(value, tenant)
                sources.pop(name, None)
                if is_source(value):
                    params[name] = self.components.secret(value, (*at, name))
                    sources[name] = value
        if scope := own.get("scope") or self.table.get("scope"):
            params["scope"] = fill_tenant(scope, tenant)
        return params, sources
