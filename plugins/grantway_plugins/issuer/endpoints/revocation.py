"""Ending a token before its time (RFC 7009)."""

from __future__ import annotations

from collections.abc import Callable

from grantway_plugins.issuer.audit_event import AuditEvent
from grantway_plugins.issuer.authentication import authenticate, credentials_of
from grantway_plugins.issuer.decision import Denial, Refusal
from grantway_plugins.issuer.issuer import Issuer
from grantway_plugins.issuer.randomness import family_digest
from grantway_plugins.issuer.records import Family, RefreshToken
from grantway_plugins.issuer.transaction import Transaction
from grantway_plugins.issuer.wire import Answer, WireRequest, answer_json


def revoke(issuer: Issuer, request: WireRequest) -> Callable[[Transaction], Answer | Denial]:
    """Return the work: an access token ends alone, a refresh token with its whole family.

    Raises:
        Refusal: the request is refused without asking the database.
    """
    token = request.text("token")
    credentials = credentials_of(request)
    if token is None:
        raise Refusal("invalid_request", "token is required")
    key = family_digest(token)

    def work(transaction: Transaction) -> Answer | Denial:
        now = issuer.clock()
        client = authenticate(credentials, transaction, now)
        found = transaction.refresh_token(key) or transaction.access_token(key)
        if found is None:
            return answer_json(200, {})  # RFC 7009 section 2.2: an unknown token is no error
        if found.family.client_id != client.client_id:
            return Denial("invalid_grant", "The token belongs to another client")
        if isinstance(found, RefreshToken):
            transaction.revoke_family(found.family.family_id, now)
            return answer_json(200, {}, event=revocation(found.family, "refresh_token"))
        transaction.forget_access_token(key)
        return answer_json(200, {}, event=revocation(found.family, "access_token"))

    return work


def revocation(family: Family, token_type: str) -> AuditEvent:
    """Return the audit log's event for a token, or with ``refresh_token`` for a whole login."""
    return AuditEvent(
        "revocation",
        client_id=family.client_id,
        subject=family.subject,
        family_id=family.family_id,
        token_type=token_type,
    )
