"""The components that handle requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from grantway._credentials.pool import CredentialPool
from grantway_plugins.gateway._config import ConfigFile
from grantway_plugins.gateway._connections.tokens import ConnectionTokens
from grantway_plugins.gateway._forwarding.target import Target
from grantway_plugins.gateway._inbound.device_authorization import DeviceAuthorizationEndpoint
from grantway_plugins.gateway._inbound.token_endpoint import TokenEndpoint
from grantway_plugins.gateway.upstream._token_exchange import TokenExchange
from grantway_plugins.gateway.upstream._upstream_auth import UpstreamAuth

from .component_cache import ComponentCache
from .gateway_provider import GatewayProvider
from .store_watch import StoreWatch

if TYPE_CHECKING:
    from grantway_plugins.gateway._connections.service import Connections
    from grantway_plugins.resource import ProtectedResource
    from grantway_plugins.server._tls.certificate import ServerCertificate


@dataclass(frozen=True, slots=True)
class Runtime:
    """The components that a file describes.

    Attributes:
        config: The file.
        components: All components.
        providers: Providers by name.
        inbound: Verifies callers, or None if they are trusted.
        connections: Connections of users, or None.
        upstream: Routes that add tokens to requests.
        targets: Upstream of each route, by the route's name.
        endpoint: The gateway's token endpoint, or None.
        device_endpoint: The gateway's device authorization endpoint, or None.
        store_watch: Reports the health of the store, or None if it is not checked.
        certificate: Certificate of the listener for requests, or None without TLS.
    """

    config: ConfigFile
    components: ComponentCache
    providers: Mapping[str, GatewayProvider]
    inbound: ProtectedResource | None
    connections: Connections | None
    upstream: UpstreamAuth
    targets: Mapping[str, Target]
    endpoint: TokenEndpoint | None
    device_endpoint: DeviceAuthorizationEndpoint | None
    store_watch: StoreWatch | None
    certificate: ServerCertificate | None

    def serves_from_memory(self) -> bool:
        """Return whether some requests can get a token without the store."""
        sources = [each.credential for each in self.upstream.routes]
        return any(
            isinstance(each, TokenExchange)
            or (isinstance(each, (CredentialPool, ConnectionTokens)) and each.alive())
            for each in sources
        )

    @property
    def undiscovered(self) -> list[GatewayProvider]:
        """Providers that are not discovered yet."""
        return [each for each in self.providers.values() if each.found is None]
