"""Identity assertions of this issuer: from an ID token to an ID-JAG for another server.

See draft-ietf-oauth-identity-assertion-authz-grant, section "Token Exchange".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from grantway._types.quantity import finite
from grantway_plugins.grants._fields import ID_JAG_TYP
from grantway_plugins.grants.token_exchange import ID_JAG, ID_TOKEN
from grantway_plugins.issuer._decisions.decision import GrantRequest, Issue
from grantway_plugins.issuer._decisions.randomness import new_id
from grantway_plugins.issuer._storage.records import TokenFamily
from grantway_plugins.issuer._trust.patterns import matches
from grantway_plugins.server._http.audit_event import AuditEvent
from grantway_plugins.server._http.denial import Denial

if TYPE_CHECKING:
    from grantway_plugins.issuer._identity_assertion_policy import IdentityAssertionPolicy
    from grantway_plugins.issuer._storage.transaction import Transaction

#: Claims about the authentication that pass from the ID token to the assertion.
_AUTHENTICATION = ("auth_time", "acr", "amr")


def issue_assertion(request: GrantRequest, transaction: Transaction) -> Issue | Denial:
    """Exchange an ID token of the client for an identity assertion, if a policy permits it."""
    params = request.params
    audience = params.get("audience", ())
    problem = ""
    if "actor_token" in params:
        problem = "Delegation is not supported; omit actor_token"
    elif params["subject_token_type"] != ID_TOKEN:
        problem = f"subject_token_type must be {ID_TOKEN}"
    elif len(audience) != 1:
        problem = "audience is required once: the issuer of the other authorization server"
    if problem:
        return Denial("invalid_request", problem)
    user = _id_token(request, transaction)
    if user is None:
        return Denial(
            "invalid_request", "The subject_token is not a valid ID token of this issuer and client"
        )
    client_id, subject = request.client.client_id, user["sub"]
    policy = _policy(request, audience[0], subject)
    if policy is None:
        return _refused(
            "invalid_target",
            "The administrator has not permitted assertions for this audience",
            f"identity_assertions has no policy of {client_id} and {subject} for {audience[0]}",
        )
    scope = _granted(params.get("scope"), policy.scopes)
    resources = _granted(params.get("resource"), policy.resources)
    if scope is None or resources is None:
        name, error = (
            ("scope", "invalid_scope") if scope is None else ("resource", "invalid_target")
        )
        return _refused(
            error,
            f"The administrator has not permitted any {name} of the request",
            f"the policy of {client_id} for {policy.audience} has none of the requested {name}s",
        )
    family = TokenFamily(
        family_id=new_id(),
        client_id=client_id,
        subject=subject,
        scope=scope,
        expires_at=request.now + policy.lifetime,
    )
    return Issue(
        family,
        scope,
        new=True,
        refresh_token=False,
        audience=(policy.audience,),
        members={"issued_token_type": ID_JAG},
        signed=True,
        claims=_claims(request, transaction, user, policy, resources),
        typ=ID_JAG_TYP,
    )


def _id_token(request: GrantRequest, transaction: Transaction) -> dict[str, Any] | None:
    """Return the claims of an ID token that this issuer issued to the client, or None."""
    assert request.keys is not None  # ``requires_keys`` is checked at start
    token, now = request.params["subject_token"], request.now
    claims = request.keys.verified(token, transaction, now, typ="JWT")
    if claims is None or claims.get("iss") != request.settings.url:
        return None
    # JWTs for other issuers, of token exchange, have a client_id.
    if claims.get("aud") != request.client.client_id or "client_id" in claims:
        return None
    expiry = finite(claims.get("exp"))
    return claims if expiry is not None and now < expiry and claims.get("sub") else None


def _policy(request: GrantRequest, audience: str, subject: str) -> IdentityAssertionPolicy | None:
    for each in request.settings.identity_assertions:
        if each.audience == audience and request.client.client_id in each.clients:
            return each if any(matches(pattern, subject) for pattern in each.users) else None
    return None


def _granted(requested: Any, permitted: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return the requested values that the policy permits, by default all; None for none."""
    if not requested:
        return permitted
    return tuple(each for each in requested if each in permitted) or None


def _claims(
    request: GrantRequest,
    transaction: Transaction,
    user: Mapping[str, Any],
    policy: IdentityAssertionPolicy,
    resources: tuple[str, ...],
) -> dict[str, Any]:
    record = transaction.users.find(user["sub"]) if policy.claims else None
    known = {} if record is None else record.claims
    claims = {name: known[name] for name in policy.claims if name in known}
    claims |= {name: user[name] for name in _AUTHENTICATION if name in user}
    claims["iss"], claims["sub"], claims["aud"] = user["iss"], user["sub"], policy.audience
    claims["client_id"] = policy.clients[request.client.client_id]
    if resources:
        claims["resource"] = resources[0] if len(resources) == 1 else list(resources)
    if "jkt" in request.confirmation:
        claims["cnf"] = {"jkt": request.confirmation["jkt"]}
    return claims


def _refused(error: str, description: str, detail: str) -> Denial:
    return Denial(error, description, event=AuditEvent("denial", detail=detail))
