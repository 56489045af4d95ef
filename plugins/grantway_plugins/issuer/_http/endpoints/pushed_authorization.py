"""The pushed authorization request endpoint (RFC 9126)."""

from __future__ import annotations

from dataclasses import replace

from grantway_plugins.issuer._decisions.authentication import authenticate, credentials_of
from grantway_plugins.issuer._decisions.authorization import validate
from grantway_plugins.issuer._decisions.authorization_request import (
    AuthorizationRequest,
    ConsentRequest,
    ErrorPage,
)
from grantway_plugins.issuer._decisions.confirmation import DPOP_JKT, use_proof
from grantway_plugins.issuer._decisions.issuer import Issuer
from grantway_plugins.issuer._decisions.pushed_requests import REQUEST_URI, push
from grantway_plugins.issuer._storage.transaction import Transaction
from grantway_plugins.issuer._storage.unit_of_work import UnitOfWork
from grantway_plugins.server._http.denial import Denial, DenialError
from grantway_plugins.server._http.wire import WireRequest, WireResponse, json_response


def push_authorization(issuer: Issuer, request: WireRequest) -> UnitOfWork:
    """Validate the request and return the unit of work for the database.

    Raises:
        DenialError: the request is invalid.
    """
    if REQUEST_URI in request.params:
        raise DenialError(
            "invalid_request", "request_uri cannot be pushed; send each parameter (RFC 9126)"
        )
    credentials = credentials_of(request, issuer)

    def work(transaction: Transaction) -> WireResponse | Denial:
        now = issuer.clock()
        client = authenticate(issuer, request, credentials, transaction, now)
        use_proof(request, transaction)
        asked = AuthorizationRequest.of(_pairs(request, client.client_id))
        outcome = validate(issuer, replace(asked, pushed=True), transaction)
        if isinstance(outcome, ErrorPage):
            return Denial(
                "invalid_request", "redirect_uri is missing, or the client did not register it"
            )
        if not isinstance(outcome, ConsentRequest):
            return Denial(outcome.params["error"], outcome.params["error_description"])
        lifetime = issuer.settings.lifetimes.pushed_request
        uri = push(asked.pairs, client.client_id, now + lifetime, transaction)
        return json_response(201, {REQUEST_URI: uri, "expires_in": int(lifetime)})

    return work


def _pairs(request: WireRequest, client_id: str) -> list[tuple[str, str]]:
    """Return the parameters of the authorization request.

    Raises:
        DenialError: ``dpop_jkt`` is not the key of the request's proof (RFC 9449 section 10.1).
    """
    params = {**request.params, "client_id": client_id}
    thumbprint = request.confirmation.get("jkt")
    if thumbprint is not None and params.setdefault(DPOP_JKT, thumbprint) != thumbprint:
        raise DenialError("invalid_request", f"{DPOP_JKT} is not the key of the DPoP proof")
    return [
        (name, each)
        for name, value in params.items()
        for each in (value if isinstance(value, list) else [value])
    ]
