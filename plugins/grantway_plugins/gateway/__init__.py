"""Grantway inside a gateway: a token endpoint to mount.

``TokenEndpoint`` answers token requests in any WSGI or ASGI framework. ``Broker`` settles them by a
provider behind the gateway, ``EmbeddedIssuer`` by the issuer in the same process. Importing the
package loads none of it.

``Protection`` stands between a provider and its clients, and ``GatewayMetrics`` counts for
Prometheus.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .binding_keys import derived_binding_key
    from .broker import Broker
    from .clients import ClientHashes, ClientRule, Principal, hash_secret
    from .device_authorization import DeviceAuthorizationEndpoint
    from .embedded import EmbeddedIssuer
    from .metrics import GatewayMetrics
    from .protection import BreakerRules, BulkheadRules, Notice, Protection, ProtectionState
    from .token_endpoint import Settlement, TokenEndpoint

_HOME = {
    "BreakerRules": "protection",
    "Broker": "broker",
    "BulkheadRules": "protection",
    "ClientHashes": "clients",
    "ClientRule": "clients",
    "DeviceAuthorizationEndpoint": "device_authorization",
    "EmbeddedIssuer": "embedded",
    "GatewayMetrics": "metrics",
    "Notice": "protection",
    "Principal": "clients",
    "Protection": "protection",
    "ProtectionState": "protection",
    "Settlement": "token_endpoint",
    "TokenEndpoint": "token_endpoint",
    "derived_binding_key": "binding_keys",
    "hash_secret": "clients",
}

__all__ = [
    "BreakerRules",
    "Broker",
    "BulkheadRules",
    "ClientHashes",
    "ClientRule",
    "DeviceAuthorizationEndpoint",
    "EmbeddedIssuer",
    "GatewayMetrics",
    "Notice",
    "Principal",
    "Protection",
    "ProtectionState",
    "Settlement",
    "TokenEndpoint",
    "derived_binding_key",
    "hash_secret",
]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used."""
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
