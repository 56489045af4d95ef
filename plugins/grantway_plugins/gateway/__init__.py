"""Token endpoints for gateways, with protection and metrics.

``TokenEndpoint`` responds to token requests in any WSGI or ASGI framework. It gets the tokens from
a ``Broker``, which forwards requests to a provider, or from an ``EmbeddedIssuer`` in the same
process. ``Protection`` limits the calls of a provider, and ``GatewayMetrics`` exports Prometheus
metrics. Modules are imported on first use.
"""

from grantway._lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._inbound.binding_keys import derived_binding_key as derived_binding_key
    from ._inbound.broker import Broker as Broker
    from ._inbound.clients import (
        ClientHashes as ClientHashes,
        ClientRule as ClientRule,
        Principal as Principal,
        hash_secret as hash_secret,
    )
    from ._inbound.device_authorization import (
        DeviceAuthorizationEndpoint as DeviceAuthorizationEndpoint,
    )
    from ._inbound.embedded import EmbeddedIssuer as EmbeddedIssuer
    from ._inbound.token_endpoint import (
        TokenBackend as TokenBackend,
        TokenEndpoint as TokenEndpoint,
    )
    from ._metrics import GatewayMetrics as GatewayMetrics
    from ._protection import (
        BreakerRules as BreakerRules,
        BulkheadRules as BulkheadRules,
        Notice as Notice,
        Protection as Protection,
        ProtectionState as ProtectionState,
    )

if not TYPE_CHECKING:  # type checkers would accept misspelt names
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "._inbound.binding_keys": "derived_binding_key",
            "._inbound.broker": "Broker",
            "._inbound.clients": "ClientHashes ClientRule Principal hash_secret",
            "._inbound.device_authorization": "DeviceAuthorizationEndpoint",
            "._inbound.embedded": "EmbeddedIssuer",
            "._inbound.token_endpoint": "TokenBackend TokenEndpoint",
            "._metrics": "GatewayMetrics",
            "._protection": "BreakerRules BulkheadRules Notice Protection ProtectionState",
        },
    )
