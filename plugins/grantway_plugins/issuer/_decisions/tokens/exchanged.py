"""Signed JWTs that clients get by token exchange, for other issuers (RFC 8693)."""

from __future__ import annotations

from typing import Any

from grantway._exceptions import PluginError
from grantway_plugins.issuer._decisions.decision import Issue
from grantway_plugins.issuer._decisions.issuer import Issuer
from grantway_plugins.issuer._decisions.randomness import new_id
from grantway_plugins.issuer._storage.transaction import Transaction


def exchanged_response(
    issue: Issue, now: float, issuer: Issuer, transaction: Transaction
) -> dict[str, Any]:
    """Return the members of a response with a JWT, which is not stored.

    Raises:
        PluginError: the issuer has no signing keys, or the decision has no audience.
    """
    expires_at = int(min(now + issuer.settings.lifetimes.access_token, issue.family.expires_at))
    if issuer.keys is None or not issue.audience:
        raise PluginError("An Issue with signed=True needs signing keys and an audience.")
    scope = " ".join(issue.scope)
    claims = {
        "iss": issuer.settings.url,
        "sub": issue.family.subject,
        "aud": issue.audience[0] if len(issue.audience) == 1 else list(issue.audience),
        "client_id": issue.family.client_id,
        **({"scope": scope} if scope else {}),
        "iat": int(now),
        "exp": expires_at,
        "jti": new_id(),
        **issue.claims,
    }
    return {
        **issue.members,
        "access_token": issuer.keys.sign(claims, transaction, now, typ=issue.typ),
        "token_type": "N_A",  # RFC 8693 section 2.2.1: it is not an access token
        "expires_in": max(0, expires_at - int(now)),
        **({"scope": scope} if scope else {}),
    }
