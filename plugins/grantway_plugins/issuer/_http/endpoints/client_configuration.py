"""The client configuration endpoint, where clients manage their registration (RFC 7592)."""

from __future__ import annotations

import hmac
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from grantway_plugins.issuer._decisions.issuer import Issuer
from grantway_plugins.issuer._decisions.randomness import digest
from grantway_plugins.issuer._decisions.registration_policy import Terms
from grantway_plugins.issuer._extensions.additions import Endpoint
from grantway_plugins.issuer._extensions.reply import Reply
from grantway_plugins.issuer._extensions.request import IssuerRequest
from grantway_plugins.issuer._storage.records import RegisteredClient
from grantway_plugins.issuer._storage.transaction import Transaction
from grantway_plugins.server._http.audit_event import AuditEvent
from grantway_plugins.server._http.denial import Denial, DenialError

from .registration import (
    CONFIGURATION,
    client_information,
    configuration_uri,
    new_client,
    registration_event,
)

#: Members that only the issuer sets (RFC 7592 section 2.2).
_OWN = (
    "registration_access_token",
    "registration_client_uri",
    "client_secret_expires_at",
    "client_id_issued_at",
)
_BEARER = "bearer "
_INVALID_TOKEN = Reply(
    {
        "error": "invalid_token",
        "error_description": "The registration access token is invalid; send the one of this "
        "client as Authorization: Bearer",
    },
    401,
    headers={"WWW-Authenticate": 'Bearer realm="grantway", error="invalid_token"'},
    event=AuditEvent("denial", error="invalid_token"),
)


def client_configuration(issuer: Issuer) -> Endpoint:
    """Return the endpoint of an issuer."""

    def handle(request: IssuerRequest, transaction: Transaction) -> Reply | Denial:
        token = _token(request)
        client = _client(request, token, transaction)
        if client is None:
            return _INVALID_TOKEN
        if request.method == "DELETE":
            transaction.clients.remove(client.client_id, request.now)
            return Reply("", 204, event=AuditEvent("client_removal", client_id=client.client_id))
        secret = None
        if request.method == "PUT":
            try:
                client, secret = _replaced(issuer, client, request)
            except DenialError as error:
                return error.denial
            transaction.clients.replace(client)
        content = {
            **client_information(client, secret),
            "registration_access_token": token,
            "registration_client_uri": configuration_uri(issuer.settings.url, client.client_id),
        }
        event = registration_event(client) if request.method == "PUT" else None
        return Reply(content, event=event)

    return Endpoint(
        CONFIGURATION,
        handle,
        methods=("GET", "PUT", "DELETE"),
        accepts=("json",),
        per_minute=60,
        cors=True,
    )


def _token(request: IssuerRequest) -> str:
    header = request.headers.get("authorization", "")
    return header[len(_BEARER) :].strip() if header.lower().startswith(_BEARER) else ""


def _client(
    request: IssuerRequest, token: str, transaction: Transaction
) -> RegisteredClient | None:
    """Return the client whose registration access token the request contains, or None."""
    client_id = request.params.get("client_id")
    # Not from the cache: another process may have removed the client or replaced its secret.
    client = transaction.clients.lock(client_id) if isinstance(client_id, str) else None
    if (
        client is None
        or request.now >= client.expires_at
        or client.registration_token_digest is None
        or not hmac.compare_digest(client.registration_token_digest, digest(token))
    ):
        return None
    return client


def _replaced(
    issuer: Issuer, client: RegisteredClient, request: IssuerRequest
) -> tuple[RegisteredClient, str | None]:
    """Return the client with the metadata of the request, and its new secret if it needs one.

    Raises:
        DenialError: the metadata is invalid, or exceeds the terms of the registration.
    """
    members = _metadata(client, request.params)
    settings = issuer.settings
    terms = Terms(introspects=client.introspects)
    if client.anonymous:
        grants = frozenset(settings.registration_grant_types)
        terms = Terms(grants, settings.registration_scopes, anonymous=True)
    expires_at = math.inf
    if math.isfinite(client.expires_at):
        expires_at = request.now + settings.lifetimes.registration
    made, secret = new_client(issuer, members, terms, expires_at)
    authentication, before = made.authentication, client.authentication
    if secret is not None and before.secret_digest is not None:
        authentication, secret = replace(before, method=authentication.method), None
    name = made.name if "client_name" in members else client.client_id
    replaced = replace(
        made,
        client_id=client.client_id,
        name=name,
        authentication=authentication,
        issued_at=client.issued_at,
        introspects=client.introspects,
        registration_token_digest=client.registration_token_digest,
    )
    return replaced, secret


def _metadata(client: RegisteredClient, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the new metadata without the members that identify the client."""
    wrong = next((name for name in _OWN if name in params), None)
    if wrong is not None:
        raise DenialError("invalid_request", f"{wrong} must not be in the request; omit it")
    secret = params.get("client_secret")
    if secret is not None:
        own = client.authentication.secret_digest
        given = digest(secret) if isinstance(secret, str) else b""
        if own is None or not hmac.compare_digest(own, given):
            raise DenialError("invalid_request", "client_secret must be the current one; omit it")
    return {
        name: value for name, value in params.items() if name not in {"client_id", "client_secret"}
    }
