"""The token exchange grant for the issuer's own access tokens (RFC 8693)."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeGuard

from grantway_plugins.grants.token_exchange import ACCESS_TOKEN
from grantway_plugins.issuer._decisions.decision import GrantRequest, Issue
from grantway_plugins.issuer._decisions.randomness import family_digest
from grantway_plugins.server._http.denial import Denial

if TYPE_CHECKING:
    from grantway_plugins.issuer._storage.records import AccessTokenRecord
    from grantway_plugins.issuer._storage.transaction import Transaction


class TokenExchangeIssuer:
    """Issues an access token with the same subject to the requesting client.

    The new token has at most the scopes and the lifetime of the exchanged one, and stays bound to
    its audience. A token with an audience can be exchanged only by that audience and by the client
    that received it. Delegation is not supported: an actor token is rejected.
    """

    def decide(self, request: GrantRequest, transaction: Transaction) -> Issue | Denial:
        """See ``IssuerGrant``."""
        if not request.client.confidential:
            return Denial("unauthorized_client", "Only a client with a secret may use this grant")
        unknown = _unsupported(request)
        if unknown:
            return Denial("invalid_request", unknown)
        subject = transaction.access_token(family_digest(request.params["subject_token"]))
        if not _usable(subject, request) or not transaction.lock_family(subject.family.family_id):
            return Denial(
                "invalid_request", "The subject_token is unknown, expired or issued to others"
            )
        scope = _narrowed(subject, request)
        if not scope:
            return Denial(
                "invalid_scope", "scope exceeds the scopes of the subject_token or the client"
            )
        params = request.params
        target = (*params.get("audience", ()), *params.get("resource", ()))
        return request.issue(
            subject=subject.family.subject,
            scope=scope,
            lifetime=subject.expires_at - request.now,
            refresh_token=False,
            audience=target or subject.audience,
            members={"issued_token_type": ACCESS_TOKEN},
            origin=subject.family,
        )


TOKEN_EXCHANGE = TokenExchangeIssuer()


def _unsupported(request: GrantRequest) -> str | None:
    params = request.params
    if "actor_token" in params:
        return "Delegation is not supported; omit actor_token"
    if params["subject_token_type"] != ACCESS_TOKEN:
        return f"subject_token_type must be {ACCESS_TOKEN}"
    if params.get("requested_token_type", ACCESS_TOKEN) != ACCESS_TOKEN:
        return f"requested_token_type must be {ACCESS_TOKEN}"
    return None


def _usable(
    subject: AccessTokenRecord | None, request: GrantRequest
) -> TypeGuard[AccessTokenRecord]:
    if subject is None or subject.family.revoked or request.now >= subject.expires_at:
        return False
    client_id = request.client.client_id
    return (
        not subject.audience
        or client_id in subject.audience
        or client_id == subject.family.client_id
    )


def _narrowed(subject: AccessTokenRecord, request: GrantRequest) -> tuple[str, ...]:
    """Return the scopes to issue; empty if the request exceeds those of the token or the client."""
    requested = request.params.get("scope")
    if not requested:
        return tuple(name for name in subject.scope if name in request.client.scope)
    allowed = set(subject.scope) & set(request.client.scope)
    return tuple(requested) if set(requested) <= allowed else ()
