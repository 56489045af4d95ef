"""The token endpoint: RFC 6749 section 3.2 and CreateToken."""

from __future__ import annotations

from grantway_plugins.issuer._decisions.authentication import (
    authenticate,
    check_not_removed,
    credentials_of,
)
from grantway_plugins.issuer._decisions.confirmation import (
    issued_confirmation,
    require_confirmation,
    use_proof,
)
from grantway_plugins.issuer._decisions.decision import GrantRequest, Issue
from grantway_plugins.issuer._decisions.issuer import Issuer
from grantway_plugins.issuer._decisions.openid import OPENID
from grantway_plugins.issuer._decisions.plugin_calls import call_plugin
from grantway_plugins.issuer._decisions.resources import for_resources, requested_resources
from grantway_plugins.issuer._decisions.tokens.exchanged import exchanged_response
from grantway_plugins.issuer._decisions.tokens.response import token_response
from grantway_plugins.issuer._settings import INTERACTIVE
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


def create_token(issuer: Issuer, request: WireRequest) -> UnitOfWork:
    """Validate the request and return the unit of work for the database.

    Raises:
        DenialError: the request is invalid.
    """
    offered = issuer.grants.get(grant_type_of(request))
    if offered is None:
        raise unsupported_grant_type(issuer.grants)
    # First, because the grant's schema would report an invalid resource as invalid_request.
    resources = requested_resources(issuer.settings, request)
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
        require_confirmation(issuer, client, request)
        use_proof(request, transaction)
        confirmation = issued_confirmation(client, request.confirmation)
        asked = GrantRequest(
            params,
            client,
            now,
            issuer.steady_clock(),
            issuer.settings,
            request.headers,
            request.peer,
            request.trusted,
            confirmation,
            resources,
            issuer.keys,
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
        if decision.new:
            check_not_removed(client, transaction)
        decision = for_resources(decision, resources, issuer.settings)
        event = _login_event(decision, offered.grant.grant_type) if decision.new else None
        if decision.signed:
            content = exchanged_response(decision, now, issuer, transaction)
        else:
            content = token_response(
                decision,
                client,
                issuer,
                transaction,
                now=now,
                confirmation=confirmation,
                id_token=_with_id_token(issuer, request, asked, decision),
            )
        issued = offered.grant.grant_type, _format_of(content["access_token"])
        if request.dialect is WireFormat.AWS:
            del content["scope"]
            content = {camel(name): value for name, value in content.items()}
        return json_response(200, content, request.dialect, event=event, issued=issued)

    return work


def _format_of(token: str) -> str:
    """Return the format of an access token: ``jwt`` (RFC 7519 section 3) or ``opaque``."""
    return "jwt" if token.count(".") == 2 else "opaque"  # noqa: PLR2004 - header, claims, signature


def _with_id_token(issuer: Issuer, request: WireRequest, asked: GrantRequest, issue: Issue) -> bool:
    """Return whether the response has an ID token: after a login with the scope, and a refresh.

    AWS's dialect has none, as AWS documents it.
    """
    scope = asked.params.get("scope") or (OPENID,)
    return (
        issuer.keys is not None
        and request.dialect is WireFormat.RFC
        and grant_type_of(request) in INTERACTIVE
        # Not the token's scope, which a resource may have narrowed.
        and OPENID in issue.family.scope
        and OPENID in scope
    )


def _login_event(issue: Issue, grant_type: str) -> AuditEvent:
    return AuditEvent(
        "login",
        client_id=issue.family.client_id,
        subject=issue.family.subject,
        grant_type=grant_type,
        scope=" ".join(issue.scope),
        family_id=issue.family.family_id,
        detail=f"a JWT for {', '.join(issue.audience)}" if issue.signed else None,
    )
