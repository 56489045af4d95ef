"""Client authentication at the token endpoint (RFC 6749 section 2.3)."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from grantway._exceptions import PluginError
from grantway._requests.client_auth import JWT_BEARER
from grantway._secrets.params import Params
from grantway_plugins.issuer._extensions.request import IssuerRequest
from grantway_plugins.issuer._security import FAPI2_METHODS
from grantway_plugins.issuer._storage.records import AccessTokenRecord, RegisteredClient
from grantway_plugins.issuer._trust.trusted_token import (
    RejectedToken,
    TrustedToken,
    denial_of,
    spend,
)
from grantway_plugins.server._http.denial import Denial, DenialError
from grantway_plugins.server._http.wire import WireFormat, WireRequest

from .issuer import Issuer
from .randomness import digest

if TYPE_CHECKING:
    # The gateway imports this module without the database library.
    from grantway_plugins.issuer._storage.transaction import Transaction

_FAILED = "The client is unknown, or its authentication failed"

_log = logging.getLogger("grantway.issuer")


@dataclass(frozen=True, slots=True)
class Credentials:
    """The client credentials in a request.

    Attributes:
        client_id: The client id.
        method: Authentication method that the request uses.
        secret: The client secret, or None.
        assertion: The verified token of a trusted issuer, or None.
    """

    client_id: str
    method: str
    secret: str | None = field(default=None, repr=False)
    assertion: TrustedToken | None = None


def credentials_of(request: WireRequest, issuer: Issuer | None = None) -> Credentials:
    """Return the client credentials of a request.

    A request with a client id and no secret has the method ``none``; the registration of the client
    tells whether it authenticates with the method of a plugin.

    Args:
        request: The request.
        issuer: The issuer whose plugins may find a client id in other credentials.

    Raises:
        DenialError: the request has no client id, or uses two authentication methods.
    """
    client_id, secret = request.text("client_id"), request.text("client_secret")
    verified = _verified(request, client_id, secret, issuer)
    if verified is not None:
        return verified
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
    if client_id is None and secret is None and issuer is not None and issuer.client_auth:
        client_id = _client_id_of_plugins(issuer, request)
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


def _verified(
    request: WireRequest, client_id: str | None, secret: str | None, issuer: Issuer | None
) -> Credentials | None:
    """Return the credentials of a request with an assertion or a client certificate, or None."""
    if request.text("client_assertion") is not None:
        _check_alone(request, secret)
        if (
            isinstance(request.trusted.get("client_assertion"), TrustedToken)
            or issuer is None
            or not issuer.client_auth  # otherwise it may be for the method of a plugin
        ):
            return _asserted(request, client_id)
    certified = request.trusted.get("client_certificate")
    if isinstance(certified, TrustedToken) and secret is None and request.basic is None:
        return Credentials(certified.subject, certified.method)
    return None


def _check_alone(request: WireRequest, secret: str | None) -> None:
    """Reject a secret in addition to a client assertion."""
    if request.basic is not None or secret is not None:
        raise DenialError(
            "invalid_request",
            "The client authenticates with a secret and with an assertion; use one of them",
        )


def _asserted(request: WireRequest, client_id: str | None) -> Credentials:
    """Return the credentials of a request with a client assertion (RFC 7523 section 2.2)."""
    if request.text("client_assertion_type") != JWT_BEARER:
        raise DenialError("invalid_request", f"client_assertion_type must be {JWT_BEARER}")
    token = request.trusted.get("client_assertion")
    if isinstance(token, TrustedToken):
        if client_id is None and len(token.clients) == 1:
            client_id = token.clients[0]
        if client_id is not None and client_id in token.clients:
            return Credentials(client_id, token.method, assertion=token)
        problem = "authenticates other clients" if client_id else "fits several; send client_id"
        token = RejectedToken(f"of {token.issuer} for {token.subject} {problem}")
    raise DenialError.of(_unauthentic(denial_of(token, "client_assertion", "invalid_client")))


def _unauthentic(denial: Denial) -> Denial:
    """Return a denial with the description that all failed authentications have."""
    return replace(denial, description=_FAILED)


def authenticate(
    issuer: Issuer,
    request: WireRequest,
    credentials: Credentials,
    transaction: Transaction,
    now: float,
) -> RegisteredClient:
    """Authenticate the client of a request.

    Raises:
        DenialError: the client is unknown or expired, used a method that it did not register, or
            sent a wrong secret. The error does not reveal which clients exist.
        PluginError: the plugin of the client's method failed.
    """
    client = transaction.clients.find(credentials.client_id)
    authentic = client is not None and _accepts(client, credentials, now)
    if client is not None and not authentic:
        method = issuer.client_auth.get(client.authentication.method)
        if method is not None and credentials.method == "none":
            asked = issuer_request(issuer, request, now)
            authentic = method.verifies(asked, client, transaction)
        else:
            # The cached registration may be older than a rotation of the secret.
            client = transaction.clients.find(credentials.client_id, known=False)
            authentic = client is not None and _accepts(client, credentials, now)
    if client is None or not authentic or not issuer.accepts(client):
        for name in ("client_assertion", "client_certificate"):
            rejected = request.trusted.get(name)
            if isinstance(rejected, RejectedToken):
                denial = denial_of(rejected, name, "invalid_client")
                raise DenialError.of(_unauthentic(denial))
        raise DenialError("invalid_client", _FAILED)
    if issuer.settings.fapi2 and client.authentication.method not in FAPI2_METHODS:
        listing = ", ".join(sorted(FAPI2_METHODS))
        raise DenialError("invalid_client", f"The client must authenticate with one of: {listing}")
    if now >= client.expires_at:
        raise DenialError("invalid_client", "The client's registration has expired; register again")
    if credentials.assertion is not None:
        used = spend(credentials.assertion, transaction, "client_assertion", "invalid_client")
        if used is not None:
            raise DenialError.of(_unauthentic(used))
    return client


def check_not_removed(client: RegisteredClient, transaction: Transaction) -> None:
    """Require that a client still exists, before it gets tokens that its removal did not revoke.

    Raises:
        DenialError: it was removed after it was cached.
    """
    if transaction.clients.find(client.client_id, known=False) is None:
        raise DenialError("invalid_client", _FAILED)


def issuer_request(
    issuer: Issuer,
    request: WireRequest,
    now: float,
    method: str = "POST",
    *,
    client: RegisteredClient | None = None,
    token: AccessTokenRecord | None = None,
) -> IssuerRequest:
    """Return a request as plugins see it."""
    return IssuerRequest(
        method,
        Params(request.params),
        request.headers,
        request.peer,
        now,
        issuer.settings,
        client,
        token,
    )


def _accepts(client: RegisteredClient, credentials: Credentials, now: float) -> bool:
    secret_digest = None if credentials.secret is None else digest(credentials.secret)
    return client.authentication.accepts(credentials.method, secret_digest, now)


def _client_id_of_plugins(issuer: Issuer, request: WireRequest) -> str | None:
    """Return the client id that the method of a plugin finds in a request.

    Raises:
        DenialError: the methods of two plugins find one.
    """
    asked = issuer_request(issuer, request, issuer.clock())
    found: set[str] = set()
    for method in issuer.client_auth.values():
        try:
            client_id = method.client_id(asked)
        except PluginError as error:
            # Clients of other methods must not suffer.
            _log.error("A request was read without one plugin: %s", error.message)
            continue
        if client_id is not None:
            found.add(client_id)
    if len(found) > 1:
        raise DenialError(
            "invalid_request", "The client authenticates with two methods; use one of them"
        )
    return next(iter(found), None)
