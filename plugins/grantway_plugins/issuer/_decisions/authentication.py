"""Client authentication at the token endpoint (RFC 6749 section 2.3)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from grantway_plugins.issuer._storage.records import RegisteredClient
from grantway_plugins.server._http.denial import DenialError
from grantway_plugins.server._http.wire import WireFormat, WireRequest

from .randomness import digest

if TYPE_CHECKING:
    # The gateway imports this module without the database library.
    from grantway_plugins.issuer._storage.transaction import Transaction

#: Supported values of ``token_endpoint_auth_method``.
METHODS = ("none", "client_secret_basic", "client_secret_post")


@dataclass(frozen=True, slots=True)
class Credentials:
    """The client credentials in a request.

    Attributes:
        client_id: The client id.
        method: Authentication method that the request uses.
        secret: The client secret, or None.
    """

    client_id: str
    method: str
    secret: str | None = field(default=None, repr=False)


def credentials_of(request: WireRequest) -> Credentials:
    """Return the client credentials of a request.

    Raises:
        DenialError: the request has no client id, or uses two authentication methods.
    """
    client_id, secret = request.text("client_id"), request.text("client_secret")
    if request.basic is not None:
        if secret is not None or (client_id is not None and client_id != request.basic[0]):
            raise DenialError(
                "invalid_request",
                "The client authenticates in the header and in the body; use one of them",
            )
        if not request.basic[1]:
            # RFC 6749 section 2.3.1: a client without a secret may leave it empty.
            return Credentials(request.basic[0], "none")
        return Credentials(request.basic[0], "client_secret_basic", request.basic[1])
    if client_id is None:
        if request.dialect is WireFormat.AWS:
            raise DenialError("invalid_request", "clientId is required")
        raise DenialError(
            "invalid_client",
            "client_id is missing; send it in the body, or use HTTP Basic authentication",
        )
    if secret is None:
        return Credentials(client_id, "none")
    return Credentials(client_id, "client_secret_post", secret)


def authenticate(
    credentials: Credentials, transaction: Transaction, now: float
) -> RegisteredClient:
    """Authenticate the client of a request.

    Raises:
        DenialError: the client is unknown or expired, used a method that it did not register, or
            sent a wrong secret. The error does not reveal which clients exist.
    """
    method = credentials.method
    secret_digest = None if credentials.secret is None else digest(credentials.secret)
    client = transaction.clients.find(credentials.client_id)
    authentic = client is not None and client.authentication.accepts(method, secret_digest, now)
    if client is not None and not authentic:
        # The cached registration may be older than a rotation of the secret.
        client = transaction.clients.find(credentials.client_id, known=False)
        authentic = client is not None and client.authentication.accepts(method, secret_digest, now)
    if client is None or not authentic:
        raise DenialError("invalid_client", "The client is unknown, or its authentication failed")
    if now >= client.expires_at:
        raise DenialError("invalid_client", "The client's registration has expired; register again")
    return client
