"""Client authentication with a TLS certificate (RFC 8705 section 2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from grantway._transport.http import require_secure

if TYPE_CHECKING:
    from grantway._requests.outgoing_request import OutgoingRequest


@dataclass(frozen=True, slots=True)
class MutualTls:
    """``tls_client_auth`` and ``self_signed_tls_client_auth``: sends ``client_id`` in the body.

    The transport holds the certificate:
    ``HttpTransport(client_certificate=("client.pem", "key.pem"))``. If the provider's metadata
    has ``mtls_endpoint_aliases``, requests are sent to those URLs (RFC 8705 section 5).

    Attributes:
        client_id: The client ID.
    """

    client_id: str

    def authenticate(self, request: OutgoingRequest) -> None:
        """Add the client ID, and use the provider's endpoint for client certificates."""
        request.fields["client_id"] = self.client_id
        aliases = request.provider.metadata.get("mtls_endpoint_aliases")
        name = f"{request.step}_endpoint"
        alias = aliases.get(name) if isinstance(aliases, Mapping) else None
        if alias is not None:
            require_secure(alias, f"mtls_endpoint_aliases.{name}")
            request.url = alias

    def secrets(self) -> tuple[str, ...]:
        """Return an empty tuple: the transport holds the private key."""
        return ()
