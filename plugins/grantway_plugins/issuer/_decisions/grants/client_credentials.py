"""The client credentials grant (RFC 6749 section 4.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grantway_plugins.issuer._decisions.decision import GrantRequest, Issue
from grantway_plugins.server._http.denial import Denial

if TYPE_CHECKING:
    from grantway_plugins.issuer._storage.transaction import Transaction


class ClientCredentialsIssuer:
    """Issues an access token, without a refresh token, whose subject is the client.

    Only confidential clients may use the grant (RFC 6749 section 4.4.2).
    """

    def decide(self, request: GrantRequest, transaction: Transaction) -> Issue | Denial:
        """See ``IssuerGrant``."""
        client = request.client
        if not client.confidential:
            return Denial("unauthorized_client", "Only a client with a secret may use this grant")
        return request.issue(
            subject=client.client_id,
            lifetime=request.settings.lifetimes.access_token,
            refresh_token=False,
        )


CLIENT_CREDENTIALS = ClientCredentialsIssuer()
