"""The JWT bearer grant, for assertions of trusted issuers (RFC 7523 section 3)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from grantway_plugins.issuer._decisions.decision import GrantRequest, Issue
from grantway_plugins.issuer._decisions.grants.accepted_assertion import accept_assertion
from grantway_plugins.issuer._trust.trusted_token import TrustedToken, denial_of, spend
from grantway_plugins.server._http.denial import Denial

if TYPE_CHECKING:
    from grantway_plugins.issuer._storage.transaction import Transaction


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
        if isinstance(decision, Denial):
            return decision  # a request that is denied for another reason does not use it up
        # The audit log must not name the account that has the same ``sub`` here.
        token = replace(token, subject=decision.family.subject)
        return spend(token, transaction, "assertion") or decision


JWT_BEARER = JwtBearerIssuer()
