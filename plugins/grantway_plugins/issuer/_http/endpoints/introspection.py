"""Token introspection (RFC 7662)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from grantway_plugins.issuer._decisions.issuer import Issuer
from grantway_plugins.issuer._decisions.randomness import family_digest
from grantway_plugins.issuer._decisions.resources import may_introspect
from grantway_plugins.issuer._decisions.tokens.access_token import find_access_token
from grantway_plugins.issuer._extensions.additions import Endpoint
from grantway_plugins.issuer._extensions.reply import Reply
from grantway_plugins.issuer._extensions.request import IssuerRequest
from grantway_plugins.issuer._settings import IssuerSettings
from grantway_plugins.issuer._storage.records import RegisteredClient
from grantway_plugins.issuer._storage.transaction import Transaction
from grantway_plugins.server._http.denial import Denial

from .signed_introspection import requires_signature, signed_reply


def introspect(issuer: Issuer, request: IssuerRequest, transaction: Transaction) -> Reply | Denial:
    """Return the state of a token.

    The client must authenticate (RFC 7662 section 2.1). It may introspect its own tokens, those
    whose audience includes it, and those for a resource that lists it. All other tokens are
    reported as inactive (section 2.2), unless the operator has permitted the client to introspect
    every token. The response is signed if the client requires it (RFC 9701).
    """
    client = request.client
    assert client is not None  # the endpoint authenticates clients
    if client.authentication.method == "none":
        return Denial("invalid_client", "Introspection requires a client with a secret")
    token = request.params.get("token")
    if token is None:
        return Denial("invalid_request", "token is required")
    members = _token_members(token, issuer, request, transaction)
    if not _may_introspect(request.settings, client, members):
        members = {"active": False}
    if requires_signature(issuer, request, client):
        return signed_reply(issuer, request, client, members, transaction)
    return Reply(members)


def introspection(issuer: Issuer) -> Endpoint:
    """Return the introspection endpoint."""
    handle = partial(introspect, issuer)
    return Endpoint("/introspect", handle, authenticate="client", per_minute=None)


def _may_introspect(
    settings: IssuerSettings, client: RegisteredClient, members: dict[str, Any]
) -> bool:
    return (
        client.introspects
        or client.client_id == members.get("client_id")
        or may_introspect(settings, members.get("aud", ()), client.client_id)
    )


def _token_members(
    token: str, issuer: Issuer, request: IssuerRequest, transaction: Transaction
) -> dict[str, Any]:
    now, iss = request.now, request.settings.url
    access = find_access_token(token, transaction, keys=issuer.keys, url=iss, now=now)
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
            "iss": iss,
            "token_type": "DPoP" if "jkt" in access.confirmation else "Bearer",
            **_cnf(access.confirmation),
            "iat": int(access.issued_at),
            "exp": int(access.expires_at),
        }
    refresh = transaction.refresh_token(family_digest(token))
    if refresh is None or refresh.family.revoked or now >= refresh.family.expires_at:
        return {"active": False}
    if refresh.used_at is not None:
        return {"active": False}
    return {
        "active": True,
        "scope": " ".join(refresh.family.scope),
        "client_id": refresh.family.client_id,
        "sub": refresh.family.subject,
        "iss": iss,
        "exp": int(refresh.family.expires_at),
        **_cnf(refresh.family.details.confirmation),
    }


def _cnf(confirmation: Mapping[str, str]) -> dict[str, Any]:
    """Return the member with the key of a bound token (RFC 9449 section 6.2)."""
    return {"cnf": dict(confirmation)} if confirmation else {}
