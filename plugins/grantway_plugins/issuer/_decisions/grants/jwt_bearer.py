"""The JWT bearer grant, for assertions of trusted issuers (RFC 7523 section 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grantway_plugins.issuer._decisions.decision import GrantRequest, Issue
from grantway_plugins.issuer._decisions.grants.accepted_assertion import accept_assertion
from grantway_plugins.issuer._trust.trusted_token import TrustedToken, denial_of, spend

if TYPE_CHECKING:
    from grantway_plugins.issuer._storage.transaction import Transaction
    from grantway_plugins.server._http.denial import Denial


class JwtBearerIssuer:
    """Issues an access token, without a refresh token, for an assertion of a trusted issuer."""

    def decide(self, request: GrantRequest, transaction: Transaction) -> Issue | Denial:
        """See ``IssuerGrant``."""
        token = request.trusted.get("assertion")
        if not isinstance(token, TrustedToken):
            return denial_of(token, "assertion", "invalid_grant")
        if token.identity_assertion:
            decision = accept_assertion(request, token)
        else:
            decision = request.issue(
                subject=token.subject,
                lifetime=request.settings.lifetimes.access_token,
                refresh_token=False,
            )
        # A request that is denied for another reason does not use the assertion up.
        used = spend(token, transaction, "assertion") if isinstance(decision, Issue) else None
        return used or decision


JWT_BEARER = JwtBearerIssuer()
