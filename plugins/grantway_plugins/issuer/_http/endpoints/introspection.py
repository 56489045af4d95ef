"""Token introspection (RFC 7662)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from grantway_plugins.issuer._decisions.authentication import authenticate, credentials_of
from grantway_plugins.issuer._decisions.issuer import Issuer
from grantway_plugins.issuer._decisions.randomness import family_digest
from grantway_plugins.issuer._storage.records import RegisteredClient
from grantway_plugins.issuer._storage.transaction import Transaction
from grantway_plugins.server._http.denial import DenialError
from grantway_plugins.server._http.wire import WireRequest, WireResponse, json_response


def introspect(issuer: Issuer, request: WireRequest) -> Callable[[Transaction], WireResponse]:
    """Validate the request and return the unit of work for the database.

    The client must authenticate (RFC 7662 section 2.1). It may introspect its own tokens and those
    whose audience includes it. All other tokens are reported as inactive (section 2.2), unless the
    operator has permitted the client to introspect every token.

    Raises:
        DenialError: the request is invalid.
    """
    token = request.text("token")
    credentials = credentials_of(request)
    if credentials.method == "none":
        raise DenialError("invalid_client", "Introspection requires a client with a secret")
    if token is None:
        raise DenialError("invalid_request", "token is required")
    key = family_digest(token)

    def work(transaction: Transaction) -> WireResponse:
        now = issuer.clock()
        client = authenticate(credentials, transaction, now)
        members = _token_members(key, issuer, now, transaction)
        return json_response(
            200, members if _may_introspect(client, members) else {"active": False}
        )

    return work


def _may_introspect(client: RegisteredClient, members: dict[str, Any]) -> bool:
    return (
        client.introspects
        or client.client_id == members.get("client_id")
        or client.client_id in members.get("aud", ())
    )


def _token_members(
    key: bytes, issuer: Issuer, now: float, transaction: Transaction
) -> dict[str, Any]:
    access = transaction.access_token(key)
    if access is not None:
        if access.family.revoked or now >= access.expires_at:
            return {"active": False}
        audience = {"aud": list(access.audience)} if access.audience else {}
        return {
            **audience,
            "active": True,
            "scope": " ".join(access.scope),
            "client_id": access.family.client_id,
            "sub": access.family.subject,
            "iss": issuer.settings.url,
            "token_type": "Bearer",
            "iat": int(access.issued_at),
            "exp": int(access.expires_at),
        }
    refresh = transaction.refresh_token(key)
    if refresh is None or refresh.family.revoked or now >= refresh.family.expires_at:
        return {"active": False}
    if refresh.used_at is not None:
        return {"active": False}
    return {
        "active": True,
        "scope": " ".join(refresh.family.scope),
        "client_id": refresh.family.client_id,
        "sub": refresh.family.subject,
        "iss": issuer.settings.url,
        "exp": int(refresh.family.expires_at),
    }
