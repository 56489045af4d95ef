"""Authorization requests and responses (RFC 6749 section 4.1, RFC 7636, RFC 9207)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from grantway_grants.authorization_code import GRANT_TYPE
from grantway_plugins.issuer._settings import IssuerSettings
from grantway_plugins.issuer._storage.records import (
    AuthorizationCodeRecord,
    LoginDetails,
    Redirect,
    RegisteredClient,
)
from grantway_plugins.issuer._storage.transaction import Transaction
from grantway_plugins.server._http.denial import Denial, DenialError
from grantway_plugins.server._http.redirect_uri import (
    is_registered,
    is_web,
    stays_on_this_machine,
)

from .authorization_request import (
    UNSUPPORTED,
    AuthorizationRequest,
    AuthorizationResponse,
    ConsentRequest,
    ErrorPage,
    ResponseMode,
)
from .client_scope import exceeds_scope
from .confirmation import requested_confirmation
from .interaction import demands_of, is_known
from .issuer import Issuer
from .openid import OPENID, check_nonce
from .pushed_requests import (
    REQUEST_URI,
    REQUIRED as PUSH_REQUIRED,
    is_pushed,
    open_request,
    use_request,
)
from .randomness import digest, new_secret
from .resources import check_requested
from .user import User

#: base64url of a SHA-256, without padding.
_CHALLENGE = re.compile(r"[A-Za-z0-9\-_]{43}")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+( [\x21\x23-\x5b\x5d-\x7e]+)*")


def validate(
    issuer: Issuer, request: AuthorizationRequest, transaction: Transaction
) -> ErrorPage | AuthorizationResponse | ConsentRequest:
    """Validate an authorization request.

    Errors are returned to the client before the user is asked. Since anyone can register a client,
    a link with a deliberate error would turn the issuer into an open redirector (RFC 9700 section
    4.11.2). The browser is therefore redirected automatically only to this machine.

    Args:
        issuer: The issuer.
        request: The request's parameters.
        transaction: The transaction in which to look up the client.
    """
    pushed_uri = ""
    if is_pushed(request.values):
        pushed_uri = request.values[REQUEST_URI]
        pairs = open_request(request.values, issuer.clock(), transaction)
        if pairs is None:
            return ErrorPage("The application's request has expired, or was used already.")
        request = replace(AuthorizationRequest.of(pairs), pushed=True)
    client = transaction.clients.find(request.values.get("client_id", ""))
    if client is None or issuer.clock() >= client.expires_at or not issuer.accepts(client):
        return ErrorPage("The application that sent you here is not registered with this issuer.")
    redirect = None if "redirect_uri" in request.repeated else _redirect(client, request.values)
    if redirect is None:
        return ErrorPage(f"{client.name} wants to send you to an address that it did not register.")
    mode = _mode(request.values, redirect)
    state = request.values.get("state")
    try:
        _check(issuer, client, request, mode)
        scope = _scope(client, request.values, issuer.settings)
        check_nonce(request.values.get("nonce"))
        resources = check_requested(issuer.settings, request.resources)
        confirmation = requested_confirmation(request.values)
        demands = demands_of(request.values, users_log_in=issuer.login is not None)
    except DenialError as failed:
        error = {
            "error": failed.denial.error,
            "error_description": failed.denial.description,
        }
        return AuthorizationResponse(
            client,
            redirect.uri,
            _response(issuer, state, error),
            mode or "query",
            automatic=stays_on_this_machine(redirect.uri),
        )
    challenge = request.values.get("code_challenge")
    return ConsentRequest(
        client,
        redirect,
        scope,
        state,
        mode or "query",
        challenge,
        resources,
        confirmation,
        pushed_uri,
        demands,
        request.values.get("nonce") if OPENID in scope else None,
    )


def approve(
    issuer: Issuer, consent: ConsentRequest, user: User, transaction: Transaction
) -> AuthorizationResponse:
    """Store a new authorization code and return the response that contains it."""
    use_request(consent.pushed_uri, transaction)
    code = new_secret("gwc")
    auth_time = user.auth_time
    if auth_time is None and consent.demands.max_age is not None:
        # Required (OpenID Connect Core section 2). The local user has only approved the request.
        auth_time = issuer.clock()
    transaction.add_authorization_code(
        AuthorizationCodeRecord(
            digest=digest(code),
            client_id=consent.client.client_id,
            redirect=consent.redirect,
            scope=consent.scope,
            subject=user.subject,
            challenge=consent.challenge,
            expires_at=issuer.clock() + issuer.settings.lifetimes.authorization_code,
            details=LoginDetails(
                resources=consent.resources,
                confirmation=consent.confirmation,
                auth_time=auth_time,
                session_id=user.session_id,
                nonce=consent.nonce,
            ),
        )
    )
    return _respond(issuer, consent, {"code": code})


def deny(
    issuer: Issuer, consent: ConsentRequest, transaction: Transaction
) -> AuthorizationResponse:
    """Return the response to a request that the user denied."""
    use_request(consent.pushed_uri, transaction)
    error = {"error": "access_denied", "error_description": "The user denied the request"}
    return _respond(issuer, consent, error)


def reject(
    issuer: Issuer, consent: ConsentRequest, denial: Denial, transaction: Transaction
) -> AuthorizationResponse:
    """Return the response to a valid request that allows no page, although one is necessary.

    The browser is redirected automatically to this machine, and to clients that were not registered
    anonymously; see ``validate``.
    """
    use_request(consent.pushed_uri, transaction)
    error = {"error": denial.error, "error_description": denial.description}
    uri = consent.redirect.uri
    return replace(
        _respond(issuer, consent, error),
        automatic=stays_on_this_machine(uri) or is_known(issuer.settings, consent.client),
    )


def _respond(
    issuer: Issuer, consent: ConsentRequest, params: dict[str, str]
) -> AuthorizationResponse:
    response = _response(issuer, consent.state, params)
    return AuthorizationResponse(consent.client, consent.redirect.uri, response, consent.mode)


def _response(issuer: Issuer, state: str | None, params: dict[str, str]) -> dict[str, str]:
    if state is not None:
        params["state"] = state
    return {**params, "iss": issuer.settings.url}


def _redirect(client: RegisteredClient, values: Mapping[str, str]) -> Redirect | None:
    named = values.get("redirect_uri")
    if named is None:
        only = client.redirect_uris[0] if len(client.redirect_uris) == 1 else None
        return None if only is None else Redirect(only, given=False)
    return Redirect(named, given=True) if is_registered(named, client.redirect_uris) else None


def _mode(values: Mapping[str, str], redirect: Redirect) -> ResponseMode | None:
    """Return the response mode, or None if it is not supported."""
    mode = values.get("response_mode", "query")
    if mode == "form_post":  # a form cannot be posted to a private-use scheme
        return "form_post" if is_web(redirect.uri) else None
    return "query" if mode == "query" else None


def _check(
    issuer: Issuer,
    client: RegisteredClient,
    request: AuthorizationRequest,
    mode: ResponseMode | None,
) -> None:
    values = request.values
    if request.repeated:
        raise DenialError("invalid_request", f"Duplicate parameter: {min(request.repeated)}")
    for name, error in UNSUPPORTED.items():
        if name in values:
            raise DenialError(error, f"{name} is not supported; send each parameter separately")
    _check_security(issuer.settings, client, request)
    if GRANT_TYPE not in client.grant_types:
        raise DenialError(
            "unauthorized_client", "The client is not registered for authorization_code"
        )
    if mode is None:
        offered = "query, or form_post for http and https redirect URIs"
        raise DenialError("invalid_request", f"response_mode must be {offered}")
    if "response_type" not in values:
        raise DenialError("invalid_request", "response_type is required")
    if values["response_type"] != "code":
        raise DenialError("unsupported_response_type", "response_type must be code")
    _check_challenge(values, must_use_pkce=client.must_use_pkce or issuer.settings.fapi2)


def _check_security(
    settings: IssuerSettings, client: RegisteredClient, request: AuthorizationRequest
) -> None:
    required = settings.require_pushed_authorization_requests
    if not request.pushed and (required or client.metadata.get(PUSH_REQUIRED)):
        raise DenialError("invalid_request", "The client must push its requests to /par (RFC 9126)")
    if settings.fapi2 and "redirect_uri" not in request.values:
        raise DenialError("invalid_request", "redirect_uri is required (FAPI 2.0)")


def _check_challenge(values: Mapping[str, str], *, must_use_pkce: bool) -> None:
    challenge, method = values.get("code_challenge"), values.get("code_challenge_method")
    rule: str | None = None
    if challenge is None and must_use_pkce:
        rule = "code_challenge is required, with code_challenge_method=S256"
    elif challenge is None:
        if method is not None:
            rule = "code_challenge is missing"
    elif method != "S256":
        rule = "code_challenge_method must be S256"
    elif not _CHALLENGE.fullmatch(challenge):
        rule = "code_challenge must be a SHA-256 digest in base64url: 43 characters"
    if rule is not None:
        raise DenialError("invalid_request", rule)


def _scope(
    client: RegisteredClient, values: Mapping[str, str], settings: IssuerSettings
) -> tuple[str, ...]:
    scope = values.get("scope") or values.get("scopes")  # AWS's parameter is named scopes
    if scope is None:
        return client.scope
    names = tuple(dict.fromkeys(scope.split(" ")))
    if not _SCOPE.fullmatch(scope) or exceeds_scope(client, names, settings):
        raise DenialError("invalid_scope", "scope exceeds the scopes that the client may request")
    return names
