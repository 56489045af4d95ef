"""The token endpoint: RFC 6749 section 3.2 and CreateToken."""

from __future__ import annotations

from typing import Any

from grantway._exceptions import PluginError
from grantway_plugins.issuer._decisions.authentication import authenticate, credentials_of
from grantway_plugins.issuer._decisions.decision import GrantRequest, Issue
from grantway_plugins.issuer._decisions.issuer import Issuer
from grantway_plugins.issuer._decisions.plugin_calls import call_plugin
from grantway_plugins.issuer._decisions.randomness import family_digest, new_family_secret
from grantway_plugins.issuer._storage.records import RegisteredClient
from grantway_plugins.issuer._storage.transaction import Transaction
from grantway_plugins.issuer._storage.unit_of_work import UnitOfWork
from grantway_plugins.server._http.audit_event import AuditEvent
from grantway_plugins.server._http.denial import Denial
from grantway_plugins.server._http.parameters import (
    grant_type_of,
    load_params,
    unsupported_grant_type,
)
from grantway_plugins.server._http.wire import (
    WireFormat,
    WireRequest,
    WireResponse,
    camel,
    json_response,
)

REFRESH_TOKEN = "refresh_token"


def create_token(issuer: Issuer, request: WireRequest) -> UnitOfWork:
    """Validate the request and return the unit of work for the database.

    Raises:
        DenialError: the request is invalid.
    """
    offered = issuer.grants.get(grant_type_of(request))
    if offered is None:
        raise unsupported_grant_type(issuer.grants)
    params = load_params(offered.grant, request)
    credentials = credentials_of(request, issuer)

    def work(transaction: Transaction) -> WireResponse | Denial:
        now = issuer.clock()
        client = authenticate(issuer, request, credentials, transaction, now)
        if offered.grant.grant_type not in client.grant_types:
            return Denial(
                "unauthorized_client",
                f"The client is not registered for {offered.grant.grant_type}",
            )
        asked = GrantRequest(
            params,
            client,
            now,
            issuer.steady_clock(),
            issuer.settings,
            request.headers,
            request.peer,
            request.trusted,
        )
        decision: Issue | Denial = call_plugin(
            f"decide of the issuer grant {offered.grant.grant_type}",
            offered.plugin,
            offered.issuer_grant.decide,
            asked,
            transaction,
            transaction=transaction,
            returns=(Issue, Denial),
        )
        if isinstance(decision, Denial):
            return decision
        event = _login_event(decision, offered.grant.grant_type) if decision.new else None
        if decision.signed:
            content = _sign(decision, now, issuer)
        else:
            content = _issue(decision, client, now, issuer, transaction)
        if request.dialect is WireFormat.AWS:
            del content["scope"]
            content = {camel(name): value for name, value in content.items()}
        return json_response(200, content, request.dialect, event=event)

    return work


def _login_event(issue: Issue, grant_type: str) -> AuditEvent:
    return AuditEvent(
        "login",
        client_id=issue.family.client_id,
        subject=issue.family.subject,
        grant_type=grant_type,
        scope=" ".join(issue.scope),
        family_id=issue.family.family_id,
    )


def _sign(issue: Issue, now: float, issuer: Issuer) -> dict[str, Any]:
    """Return the members of a response with a JWT, which is not stored."""
    expires_at = int(min(now + issuer.settings.lifetimes.access_token, issue.family.expires_at))
    if issuer.signer is None or not issue.audience:
        raise PluginError("An Issue with signed=True needs signing_keys and an audience.")
    scope = " ".join(issue.scope)
    claims = {
        "iss": issuer.settings.url,
        "sub": issue.family.subject,
        "aud": issue.audience[0] if len(issue.audience) == 1 else list(issue.audience),
        "client_id": issue.family.client_id,
        "scope": scope,
        "iat": int(now),
        "exp": expires_at,
    }
    return {
        **issue.members,
        "access_token": issuer.signer.sign(claims),
        "token_type": "N_A",  # RFC 8693 section 2.2.1: it is not an access token
        "expires_in": max(0, expires_at - int(now)),
        "scope": scope,
    }


def _issue(
    issue: Issue, client: RegisteredClient, now: float, issuer: Issuer, transaction: Transaction
) -> dict[str, Any]:
    """Issue the tokens, store their digests, and return the response's members by RFC name."""
    if issue.new:
        transaction.add_family(issue.family)
        if client.anonymous:
            transaction.clients.use(client.client_id, now)
    expires_at = min(now + issuer.settings.lifetimes.access_token, issue.family.expires_at)
    access_token = new_family_secret("gwa", issue.family.family_id)
    transaction.add_access_token(
        family_digest(access_token),
        issue.family,
        issue.scope,
        (now, expires_at),
        issue.audience,
    )
    content: dict[str, Any] = {
        **issue.members,
        "access_token": access_token,
        "token_type": "Bearer",
        "expires_in": int(expires_at - now),
    }
    if issue.refresh_token and REFRESH_TOKEN in client.grant_types:
        refresh_token = new_family_secret("gwr", issue.family.family_id)
        transaction.add_refresh_token(family_digest(refresh_token), issue.family)
        content["refresh_token"] = refresh_token
    content["scope"] = " ".join(issue.scope)
    return content
