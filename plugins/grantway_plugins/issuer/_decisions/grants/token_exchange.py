"""The token exchange grant (RFC 8693), for access tokens of this issuer and for trusted JWTs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeGuard

from grantway_plugins.grants.token_exchange import ACCESS_TOKEN, ID_JAG, ID_TOKEN, JWT
from grantway_plugins.issuer._decisions.confirmation import is_confirmed
from grantway_plugins.issuer._decisions.decision import GrantRequest, Issue
from grantway_plugins.issuer._decisions.grants.issued_assertion import issue_assertion
from grantway_plugins.issuer._trust.trusted_token import TrustedToken, denial_of, spend
from grantway_plugins.server._http.denial import Denial

if TYPE_CHECKING:
    from grantway_plugins.issuer._storage.records import AccessTokenRecord
    from grantway_plugins.issuer._storage.transaction import Transaction

#: Types of subject tokens that trusted issuers sign.
_JWTS = (JWT, ID_TOKEN)


class TokenExchangeIssuer:
    """Issues an access token with the same subject to the requesting client.

    The new token has at most the scopes and the lifetime of the exchanged one, and stays bound to
    its audience. A token with an audience can be exchanged only by that audience and by the client
    that received it, which cannot add to the audience that the user approved. A token bound to a
    key needs a proof of that key, except from its audience, which cannot have the key. A JWT of a
    trusted issuer can be exchanged by every client of this grant. Delegation is not supported: an
    actor token is rejected. If the operator permits it, the new token may be a JWT for another
    issuer, or an identity assertion for the user of an ID token.
    """

    def decide(self, request: GrantRequest, transaction: Transaction) -> Issue | Denial:
        """See ``IssuerGrant``."""
        if not request.client.confidential:
            return Denial("unauthorized_client", "Only a client with a secret may use this grant")
        if _wants_assertion(request):
            return issue_assertion(request, transaction)
        unknown = _unsupported(request)
        if unknown:
            return Denial("invalid_request", unknown)
        wants_jwt = request.params.get("requested_token_type") == JWT
        if wants_jwt and any(transaction.clients.find(each) for each in _target(request)):
            # It would be an ID token for that client.
            return Denial("invalid_target", "A JWT must not have a client as audience")
        if request.params["subject_token_type"] != ACCESS_TOKEN:
            decision = _exchange_trusted(request, transaction)
        else:
            decision = _exchange_own(request, transaction)
        if wants_jwt and isinstance(decision, Issue):
            return replace(decision, signed=True, members={"issued_token_type": JWT})
        return decision


TOKEN_EXCHANGE = TokenExchangeIssuer()


def _exchange_own(request: GrantRequest, transaction: Transaction) -> Issue | Denial:
    """Exchange an access token of this issuer."""
    subject = request.access_token(request.params["subject_token"], transaction)
    if not _usable(subject, request) or not transaction.lock_family(subject.family.family_id):
        return Denial(
            "invalid_request", "The subject_token is unknown, expired or issued to others"
        )
    target = _target(request)
    if _adds_audience(subject, target, request.client.client_id):
        return Denial("invalid_target", "The subject_token was not issued for this audience")
    scope = _narrowed(subject, request)
    if not scope:
        return Denial(
            "invalid_scope", "scope exceeds the scopes of the subject_token or the client"
        )
    return request.issue(
        subject=subject.family.subject,
        scope=scope,
        lifetime=subject.expires_at - request.now,
        refresh_token=False,
        audience=target or subject.audience,
        members={"issued_token_type": ACCESS_TOKEN},
        origin=subject.family,
    )


def _exchange_trusted(request: GrantRequest, transaction: Transaction) -> Issue | Denial:
    """Exchange a token of a trusted issuer."""
    token = request.trusted.get("subject_token")
    if not isinstance(token, TrustedToken):
        return denial_of(token, "subject_token", "invalid_request")
    decision = request.issue(
        subject=token.subject,
        # A token within the leeway has expired already.
        lifetime=max(1.0, token.expires_at - request.now),
        refresh_token=False,
        audience=_target(request),
        members={"issued_token_type": ACCESS_TOKEN},
    )
    used = None
    if isinstance(decision, Issue):
        used = spend(token, transaction, "subject_token", "invalid_request")
    return used or decision


def _wants_assertion(request: GrantRequest) -> bool:
    wanted = request.params.get("requested_token_type") == ID_JAG
    return wanted and bool(request.settings.identity_assertions)


def _target(request: GrantRequest) -> tuple[str, ...]:
    params = request.params
    return (*params.get("audience", ()), *params.get("resource", ()))


def _unsupported(request: GrantRequest) -> str | None:
    params = request.params
    if "actor_token" in params:
        return "Delegation is not supported; omit actor_token"
    if params["subject_token_type"] not in {ACCESS_TOKEN, *_JWTS}:
        return f"subject_token_type must be one of {', '.join((ACCESS_TOKEN, *_JWTS))}"
    requested = params.get("requested_token_type", ACCESS_TOKEN)
    if requested == JWT and request.settings.exchanges_jwts:
        return None if _target(request) else "audience is required for a JWT"
    if requested != ACCESS_TOKEN:
        return f"requested_token_type must be {ACCESS_TOKEN}"
    return None


def _usable(
    subject: AccessTokenRecord | None, request: GrantRequest
) -> TypeGuard[AccessTokenRecord]:
    if subject is None or subject.family.revoked or request.now >= subject.expires_at:
        return False
    client_id = request.client.client_id
    if client_id in subject.audience:
        return True
    received = not subject.audience or client_id == subject.family.client_id
    return received and is_confirmed(subject.confirmation, request.confirmation)


def _adds_audience(subject: AccessTokenRecord, target: tuple[str, ...], client_id: str) -> bool:
    """Return whether a client adds to the audience of a token without being part of it."""
    if not subject.audience or client_id in subject.audience:
        return False
    return not set(target) <= set(subject.audience)


def _narrowed(subject: AccessTokenRecord, request: GrantRequest) -> tuple[str, ...]:
    """Return the scopes to issue; empty if the request exceeds those of the token or the client."""
    requested = request.params.get("scope")
    if not requested:
        return tuple(name for name in subject.scope if name in request.client.scope)
    allowed = set(subject.scope) & set(request.client.scope)
    return tuple(requested) if set(requested) <= allowed else ()
