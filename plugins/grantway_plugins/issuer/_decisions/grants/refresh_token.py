"""The refresh token grant: rotation and reuse detection (RFC 6749 section 6, RFC 9700)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grantway_plugins.issuer._decisions.decision import GrantRequest, Issue
from grantway_plugins.issuer._decisions.randomness import family_digest
from grantway_plugins.issuer._storage.records import RefreshTokenRecord
from grantway_plugins.server._http.audit_event import AuditEvent
from grantway_plugins.server._http.denial import Denial

if TYPE_CHECKING:
    from grantway_plugins.issuer._storage.transaction import Transaction


class RefreshTokenIssuer:
    """Replace a refresh token with a new one of the same family.

    A token that was already replaced is a sign of theft and revokes its family, with one
    exception: for ``refresh_reuse_window`` seconds after it was replaced, it is accepted again and
    gets another successor. A response can get lost, and several programs that share a login can
    refresh at once: the last of them may come when the others have already used their successors.
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
        now = request.steady_now
        if token.used_at is None and transaction.spend_refresh_token(key, now):
            return Issue(token.family, scope)
        # A lost race means that another writer replaced it this moment.
        used_at = now if token.used_at is None else token.used_at
        window = request.settings.lifetimes.refresh_reuse_window
        # Replicas' clocks differ a little, so the time since then can be negative. A clock that was
        # set back before a restart is exposed by tokens of the family that were replaced later.
        if abs(now - used_at) < window and (
            transaction.last_spent(token.family.family_id) - used_at < window
        ):
            return Issue(token.family, scope)
        transaction.revoke_family(token.family.family_id, request.now)
        replay = AuditEvent(
            "replay", subject=token.family.subject, family_id=token.family.family_id
        )
        return _denied("was used before, so everything it led to was revoked", replay)


def _narrowed(request: GrantRequest, token: RefreshTokenRecord) -> tuple[str, ...] | None:
    """Return the scopes to issue, or None if the request exceeds the granted ones."""
    asked = request.params.get("scope")
    if not asked or request.client.kind == "aws":  # where scope has no effect
        return token.family.scope
    return tuple(asked) if set(asked) <= set(token.family.scope) else None


def _denied(what: str, event: AuditEvent | None = None) -> Denial:
    return Denial("invalid_grant", f"The refresh token {what}; sign in again", event=event)
