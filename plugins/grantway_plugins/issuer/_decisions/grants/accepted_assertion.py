"""Identity assertions of trusted issuers: from an ID-JAG to an access token.

See draft-ietf-oauth-identity-assertion-authz-grant, section "Access Token Request".
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from grantway._types.quantity import finite
from grantway_plugins.issuer._decisions.confirmation import is_confirmed
from grantway_plugins.issuer._decisions.decision import GrantRequest, Issue
from grantway_plugins.issuer._decisions.resources import check_requested
from grantway_plugins.issuer._extensions.errors import InvalidArgumentError
from grantway_plugins.issuer._login.interface import Identity
from grantway_plugins.issuer._login.openid.identity import identity, subject_of
from grantway_plugins.issuer._login.settings import OpenIDLogin
from grantway_plugins.issuer._storage.records import LoginDetails
from grantway_plugins.issuer._trust.trusted_token import RejectedToken, denial_of
from grantway_plugins.server._http.denial import Denial, DenialError

if TYPE_CHECKING:
    from grantway_plugins.issuer._trust.trusted_token import TrustedToken


def accept_assertion(request: GrantRequest, token: TrustedToken) -> Issue | Denial:
    """Issue an access token, without a refresh token, for the user of an identity assertion.

    The scopes are those that the request, the assertion and the client's registration have in
    common. The caller records the use of the assertion.
    """
    if not request.client.confidential:
        return Denial("unauthorized_client", "Only a client with a secret may use this assertion")
    try:
        subject = _subject(request, token)
        audience = _audience(request, token.claims.get("resource"))
        scope = _scope(request, token.claims.get("scope"))
    except _RejectedError as error:
        return denial_of(RejectedToken(str(error)), "assertion", "invalid_grant")
    except DenialError as error:
        return error.denial
    decision = request.issue(
        subject=subject,
        scope=scope,
        lifetime=request.settings.lifetimes.access_token,
        refresh_token=False,
        audience=audience,
    )
    if isinstance(decision, Denial):
        return decision
    details = LoginDetails(auth_time=finite(token.claims.get("auth_time")))
    return replace(decision, family=replace(decision.family, details=details))


class _RejectedError(Exception):
    """Raised for an assertion that is not accepted; the message continues "The assertion ..."."""


def _subject(request: GrantRequest, token: TrustedToken) -> str:
    """Check what limits the assertion to a client, and return the ``sub`` of the local user."""
    claims = token.claims
    if claims["client_id"] != request.client.client_id:
        raise _RejectedError(f"is for another client than {request.client.client_id}")
    confirmation = claims.get("cnf", {})
    if not isinstance(confirmation, dict) or not is_confirmed(confirmation, request.confirmation):
        raise _RejectedError("is bound to a key of which the request has no proof")
    if "authorization_details" in claims:
        raise _RejectedError("has authorization_details, which are not supported")
    trusted = next(e for e in request.settings.trusted_issuers if e.issuer == token.issuer)
    if "tenant" in claims and claims["tenant"] != trusted.claims.get("tenant"):
        # The sub of a user is unique within a tenant only.
        raise _RejectedError("is of a tenant that the claims of its issuer must name exactly")
    login = request.settings.login
    if isinstance(login, OpenIDLogin) and login.issuer == token.issuer:
        user = identity(claims, login)
        if isinstance(user, Identity):
            return user.subject
        raise _RejectedError(f"is of a user who may not log in: {user.detail}")
    subject = subject_of(claims, trusted.subject_claim, trusted.subject_prefix)
    if request.settings.login is None and subject == request.settings.subject:
        raise _RejectedError("would give the account of the local user to another one")
    try:
        return Identity(subject or "").subject
    except InvalidArgumentError:
        problem = f"has no usable {trusted.subject_claim or 'sub'}; an email must be verified"
    raise _RejectedError(problem)


def _audience(request: GrantRequest, claim: Any) -> tuple[str, ...]:
    """Return the resources of the token: the requested ones, or the known ones of the assertion."""
    if claim is None:
        return request.resources
    named = [claim] if isinstance(claim, str) else claim
    if not isinstance(named, list) or not all(isinstance(each, str) for each in named):
        raise _RejectedError("has a resource that is not text")
    if not set(request.resources) <= set(named):
        raise DenialError("invalid_target", "The assertion is not for the requested resource")
    known: dict[str, None] = {}
    denial = Denial("invalid_target", "The assertion has an empty list of resources")
    for each in request.resources or named:
        try:
            known |= dict.fromkeys(check_requested(request.settings, [each]))
        except DenialError as error:
            denial = error.denial
    if not known:
        raise DenialError.of(denial)
    return tuple(known)


def _scope(request: GrantRequest, claim: Any) -> tuple[str, ...]:
    if claim is not None and not isinstance(claim, str):
        raise _RejectedError("has a scope that is not text")
    registered = request.client.scope
    allowed = registered if claim is None else claim.split()
    requested = request.params.get("scope") or allowed
    granted = dict.fromkeys(each for each in requested if each in allowed and each in registered)
    if not granted:
        raise DenialError(
            "invalid_scope", "The assertion and the client permit none of the requested scopes"
        )
    return tuple(granted)
