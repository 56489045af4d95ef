"""The refresh token grant: rotation and reuse detection (RFC 6749 section 6, RFC 9700)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grantway_plugins.issuer._decisions.confirmation import is_confirmed
from grantway_plugins.issuer._decisions.decision import GrantRequest, Issue
from grantway_plugins.issuer._decisions.randomness import family_digest
from grantway_plugins.issuer._decisions.resources import target_denial
from grantway_plugins.issuer._storage.records import RefreshTokenRecord, TokenFamily
from grantway_plugins.server._http.audit_event import AuditEvent
from grantway_plugins.server._http.denial import Denial

if TYPE_CHECKING:
    from grantway_plugins.issuer._storage.transaction import Transaction


class RefreshTokenIssuer:
    """Replaces a refresh token with a new one of the same family.

    Reuse of a token that has been replaced is a sign of theft and revokes its family. The only
    exception: for ``refresh_reuse_window`` seconds after its replacement, the token is accepted
    again and replaced by yet another one. The window is for lost responses and for programs that
    share a login and refresh at the same time; other programs may already have used the tokens that
    they received.
    """

    def decide(self, request: GrantRequest, transaction: Transaction) -> Issue | Denial:
        """See ``IssuerGrant``."""
        key = family_digest(request.params["refresh_token"])
        token = transaction.refresh_token(key)
        if token is None or token.family.client_id != request.client.client_id:
            return _denied("is unknown")
        # Before any use is recorded: a thief without the key can neither use nor revoke the login.
        unusable = _unusable(token.family, request)
        if unusable is not None:
            return unusable
        scope = _narrowed(request, token)
        if isinstance(scope, Denial):
            return scope
        now = request.steady_now
        # FAPI 2.0 forbids rotation: the client's authentication protects the refresh token.
        rotates = not request.settings.fapi2
        if token.used_at is None and (not rotates or transaction.spend_refresh_token(key, now)):
            return Issue(token.family, scope, refresh_token=rotates)
        # If spending failed, another request replaced the token at the same time.
        used_at = now if token.used_at is None else token.used_at
        window = request.settings.lifetimes.refresh_reuse_window
        # The clocks of replicas differ slightly, so the difference can be negative. If the clock
        # was set back before a restart, tokens of the family have later replacement times.
        if abs(now - used_at) < window and (
            transaction.last_spent(token.family.family_id) - used_at < window
        ):
            return Issue(token.family, scope)
        transaction.revoke_family(token.family.family_id, request.now)
        replay = AuditEvent(
            "replay", subject=token.family.subject, family_id=token.family.family_id
        )
        return _denied("has already been used, so all tokens of the login were revoked", replay)


REFRESH_TOKEN = RefreshTokenIssuer()


def _unusable(family: TokenFamily, request: GrantRequest) -> Denial | None:
    if family.revoked or request.now >= family.expires_at:
        return _denied("has been revoked or has expired")
    if not is_confirmed(family.details.confirmation, request.confirmation):
        return Denial(
            "invalid_grant",
            "The refresh token is bound to a key; prove possession of that key in the request",
        )
    return None


def _narrowed(request: GrantRequest, token: RefreshTokenRecord) -> tuple[str, ...] | Denial:
    """Return the scopes to issue, or a denial if the request exceeds what the user approved."""
    family = token.family
    scope = tuple(request.params.get("scope") or ())
    if not scope or request.client.kind == "aws":  # AWS ignores scope
        scope = family.scope
    if not set(scope) <= set(family.scope):
        return Denial("invalid_scope", "scope exceeds the granted scopes; omit it")
    return target_denial(request, family.details.resources, scope) or scope


def _denied(problem: str, event: AuditEvent | None = None) -> Denial:
    return Denial("invalid_grant", f"The refresh token {problem}; log in again", event=event)
