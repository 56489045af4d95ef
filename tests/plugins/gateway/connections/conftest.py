"""The provider and the upstream of gateways whose users connect accounts."""

from tests.plugins.gateway.running.conftest import backends, echo_server, issuer

__all__ = ["backends", "echo_server", "issuer"]
