"""Refreshing: rotation, and what the reuse of an old token means (RFC 6749 section 6, RFC 9700)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grantway_plugins.issuer.decision import Denial, GrantRequest, Issue
from grantway_plugins.issuer.randomness import family_digest
from grantway_plugins.issuer.records import RefreshToken

if TYPE_CHECKING:
    from grantway_plugins.issuer.transaction import Transaction


class RefreshTokenIssuer:
    """Replaces a refresh token by a new one of the same family.

    A token that was already replaced is a sign of theft and ends its family, with one exception:
    for a short time the immediately preceding token works again, because an answer can get lost
    and several processes can refresh at once. Each gets a successor of its own that works.
    """

    def decide(self, request: GrantRequest, transaction: Transaction) -> Issue | Denial:
        """See ``IssuerGrant``."""
        key = family_digest(request.params["refresh_token"])
        token = transaction.refresh_token(key)
        if token is None or token.family.client_id != request.client.client_id:
            return _denied("is unknown")
        if token.family.revoked or request.now >= token.family.expires_at:
            return _denied("was revoked or has expired")
        scope = _narrowed(request, token)
        if scope is None:
            return Denial("invalid_scope", "scope asks for more than was granted; leave it out")
        if token.used_at is None and transaction.spend_refresh_token(key, request.now):
            return Issue(token.family, scope, parent=key)
        # A lost race means that another writer replaced it this moment.
        used_at = request.now if token.used_at is None else token.used_at
        if request.now - used_at < request.settings.lifetimes.refresh_reuse_window and (
            not transaction.has_used_successor(token)
        ):
            return Issue(token.family, scope, parent=key)
        transaction.revoke_family(token.family.family_id, request.now)
        return _denied("was used before, so everything it led to was revoked")


def _narrowed(request: GrantRequest, token: RefreshToken) -> tuple[str, ...] | None:
    """The scopes to issue, or None when more is asked for than was granted."""
    asked = request.params.get("scope")
    if not asked or request.client.kind == "aws":  # where scope has no effect
        return token.family.scope
    return tuple(asked) if set(asked) <= set(token.family.scope) else None


def _denied(what: str) -> Denial:
    return Denial("invalid_grant", f"The refresh token {what}; sign in again")
