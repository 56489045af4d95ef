"""The successful token response (RFC 6749 section 5.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from grantway_plugins.issuer._decisions.confirmation import with_bound_refresh_tokens
from grantway_plugins.issuer._decisions.decision import Issue
from grantway_plugins.issuer._decisions.issuer import Issuer
from grantway_plugins.issuer._decisions.randomness import family_digest, new_family_secret
from grantway_plugins.issuer._decisions.resources import access_token_lifetime
from grantway_plugins.issuer._storage.records import AccessTokenRecord, RegisteredClient
from grantway_plugins.issuer._storage.transaction import Transaction

from .access_token import new_access_token
from .id_token import new_id_token

REFRESH_TOKEN = "refresh_token"


def token_response(
    issue: Issue,
    client: RegisteredClient,
    issuer: Issuer,
    transaction: Transaction,
    *,
    now: float,
    confirmation: Mapping[str, str],
    id_token: bool = False,
) -> dict[str, Any]:
    """Issue the tokens, store their digests, and return the response's members by RFC name.

    Args:
        issue: The decision to issue tokens.
        client: The authenticated client.
        issuer: The issuer.
        transaction: The transaction that stores the tokens.
        now: Current time in seconds since the epoch.
        confirmation: Key to which the access token is bound, as in ``WireRequest.confirmation``.
        id_token: Whether to issue an ID token.
    """
    if issue.new:
        transaction.add_family(with_bound_refresh_tokens(issue.family, client, confirmation))
        if client.anonymous:
            transaction.clients.use(client.client_id, now)
    lifetime = access_token_lifetime(issuer.settings, issue.audience)
    expires_at = min(now + lifetime, issue.family.expires_at)
    record = AccessTokenRecord(
        issue.scope, now, expires_at, issue.family, issue.audience, confirmation
    )
    content: dict[str, Any] = {
        **issue.members,
        "access_token": new_access_token(record, issuer, transaction),
        "token_type": "DPoP" if "jkt" in confirmation else "Bearer",
        "expires_in": int(expires_at - now),
    }
    if issue.refresh_token and REFRESH_TOKEN in client.grant_types:
        refresh_token = new_family_secret("gwr", issue.family.family_id)
        transaction.add_refresh_token(family_digest(refresh_token), issue.family)
        content["refresh_token"] = refresh_token
    if id_token:
        content["id_token"] = new_id_token(
            issue,
            client,
            issuer,
            transaction,
            access_token=content["access_token"],
            now=now,
            expires_at=expires_at,
        )
    content["scope"] = " ".join(issue.scope)
    return content
