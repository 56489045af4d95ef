"""Token revocation (RFC 7009)."""

from __future__ import annotations

from functools import partial

from grantway_plugins.issuer._decisions.issuer import Issuer
from grantway_plugins.issuer._decisions.randomness import family_digest
from grantway_plugins.issuer._decisions.tokens.access_token import (
    find_access_token,
    revoke_access_token,
)
from grantway_plugins.issuer._extensions.additions import Endpoint
from grantway_plugins.issuer._extensions.reply import Reply
from grantway_plugins.issuer._extensions.request import IssuerRequest
from grantway_plugins.issuer._storage.records import RefreshTokenRecord, TokenFamily
from grantway_plugins.issuer._storage.transaction import Transaction
from grantway_plugins.server._http.audit_event import AuditEvent
from grantway_plugins.server._http.denial import Denial


def revoke(issuer: Issuer, request: IssuerRequest, transaction: Transaction) -> Reply | Denial:
    """Revoke a token of the client.

    Revoking a refresh token revokes its whole family; revoking an access token only that token.
    """
    assert request.client is not None  # the endpoint authenticates clients
    token = request.params.get("token")
    if token is None:
        return Denial("invalid_request", "token is required")
    url, now = request.settings.url, request.now
    found = transaction.refresh_token(family_digest(token)) or find_access_token(
        token, transaction, keys=issuer.keys, url=url, now=now
    )
    if found is None:
        return Reply({})  # an unknown token is not an error (RFC 7009 section 2.2)
    if found.family.client_id != request.client.client_id:
        return Denial("invalid_grant", "The token belongs to another client")
    if isinstance(found, RefreshTokenRecord):
        transaction.revoke_family(found.family.family_id, request.now)
        return Reply({}, event=revocation_event(found.family, "refresh_token"))
    revoke_access_token(token, found, transaction)
    return Reply({}, event=revocation_event(found.family, "access_token"))


def revocation(issuer: Issuer) -> Endpoint:
    """Return the revocation endpoint."""
    handle = partial(revoke, issuer)
    return Endpoint("/revoke", handle, authenticate="client", per_minute=None, cors=True)


def revocation_event(family: TokenFamily, token_type: str) -> AuditEvent:
    """Return the audit event of a revocation; ``refresh_token`` stands for the whole login."""
    return AuditEvent(
        "revocation",
        client_id=family.client_id,
        subject=family.subject,
        family_id=family.family_id,
        token_type=token_type,
    )
