"""The authorization code grant at the token endpoint (RFC 6749 section 4.1.3, RFC 7636)."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import TYPE_CHECKING

from grantway_plugins.issuer._decisions.confirmation import is_confirmed
from grantway_plugins.issuer._decisions.decision import GrantRequest, Issue
from grantway_plugins.issuer._decisions.randomness import digest, new_id
from grantway_plugins.issuer._decisions.resources import target_denial
from grantway_plugins.issuer._storage.records import AuthorizationCodeRecord, TokenFamily
from grantway_plugins.server._http.audit_event import AuditEvent
from grantway_plugins.server._http.denial import Denial

if TYPE_CHECKING:
    from grantway_plugins.issuer._storage.transaction import Transaction


class AuthorizationCodeIssuer:
    """Redeems a code once; a second attempt revokes the issued tokens (RFC 6749 section 4.1.2)."""

    def decide(self, request: GrantRequest, transaction: Transaction) -> Issue | Denial:
        """See ``IssuerGrant``."""
        key = digest(request.params["code"])
        code = transaction.authorization_code(key)
        if code is None or code.client_id != request.client.client_id:
            return _denied("The code is unknown")
        if code.family_id is not None:
            return _replayed(request, transaction, code)
        if request.now >= code.expires_at:
            return _denied("The code has expired")
        problem = _redirect_problem(request, code) or _verifier_problem(request, code)
        if problem is None and not is_confirmed(code.details.confirmation, request.confirmation):
            problem = "The code is bound to a DPoP key that the request does not prove"
        denial = (
            _denied(problem)
            if problem
            else target_denial(request, code.details.resources, code.scope)
        )
        if denial is not None:
            return denial
        family = TokenFamily(
            family_id=new_id(),
            client_id=code.client_id,
            subject=code.subject,
            scope=code.scope,
            expires_at=request.now + request.settings.lifetimes.refresh_family,
            details=code.details,
        )
        if transaction.spend_authorization_code(key, family.family_id):
            return Issue(family, code.scope, new=True)
        return _replayed(request, transaction, transaction.authorization_code(key) or code)


AUTHORIZATION_CODE = AuthorizationCodeIssuer()


def _replayed(
    request: GrantRequest, transaction: Transaction, code: AuthorizationCodeRecord
) -> Denial:
    if code.family_id is not None:
        transaction.revoke_family(code.family_id, request.now)
    replay = AuditEvent("replay", subject=code.subject, family_id=code.family_id)
    return _denied("The code has already been redeemed, so its tokens were revoked", replay)


def _redirect_problem(request: GrantRequest, code: AuthorizationCodeRecord) -> str | None:
    named = request.params.get("redirect_uri")
    if named is None and not code.redirect.given:
        return None
    if named != code.redirect.uri:
        return "redirect_uri differs from that of the authorization request"
    return None


def _verifier_problem(request: GrantRequest, code: AuthorizationCodeRecord) -> str | None:
    verifier = request.params.get("code_verifier")
    if code.challenge is None:
        return (
            None
            if verifier is None
            else "code_verifier was sent, but the authorization request had no code_challenge"
        )
    if verifier is None:
        return "code_verifier is missing"
    hashed = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=")
    if not hmac.compare_digest(hashed, code.challenge.encode()):
        return "code_verifier does not match the code_challenge"
    return None


def _denied(problem: str, event: AuditEvent | None = None) -> Denial:
    description = f"{problem}; start a new authorization request"
    return Denial("invalid_grant", description, event=event)
