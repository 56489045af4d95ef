"""Token revocation (RFC 7009)."""

from __future__ import annotations

from grantway_plugins.issuer._decisions.authentication import authenticate, credentials_of
from grantway_plugins.issuer._decisions.issuer import Issuer
from grantway_plugins.issuer._decisions.randomness import family_digest
from grantway_plugins.issuer._storage.records import RefreshTokenRecord, TokenFamily
from grantway_plugins.issuer._storage.transaction import Transaction
from grantway_plugins.issuer._storage.unit_of_work import UnitOfWork
from grantway_plugins.server._http.audit_event import AuditEvent
from grantway_plugins.server._http.denial import Denial, DenialError
from grantway_plugins.server._http.wire import WireRequest, WireResponse, json_response


def revoke(issuer: Issuer, request: WireRequest) -> UnitOfWork:
    """Validate the request and return the unit of work for the database.

    Revoking a refresh token revokes its whole family; revoking an access token only that token.

    Raises:
        DenialError: the request is invalid.
    """
    token = request.text("token")
    credentials = credentials_of(request)
    if token is None:
        raise DenialError("invalid_request", "token is required")
    key = family_digest(token)

    def work(transaction: Transaction) -> WireResponse | Denial:
        now = issuer.clock()
        client = authenticate(credentials, transaction, now)
        found = transaction.refresh_token(key) or transaction.access_token(key)
        if found is None:
            return json_response(200, {})  # an unknown token is not an error (RFC 7009 section 2.2)
        if found.family.client_id != client.client_id:
            return Denial("invalid_grant", "The token belongs to another client")
        if isinstance(found, RefreshTokenRecord):
            transaction.revoke_family(found.family.family_id, now)
            return json_response(200, {}, event=revocation_event(found.family, "refresh_token"))
        transaction.delete_access_token(key)
        return json_response(200, {}, event=revocation_event(found.family, "access_token"))

    return work


def revocation_event(family: TokenFamily, token_type: str) -> AuditEvent:
    """Return the audit event of a revocation; ``refresh_token`` stands for the whole login."""
    return AuditEvent(
        "revocation",
        client_id=family.client_id,
        subject=family.subject,
        family_id=family.family_id,
        token_type=token_type,
    )
