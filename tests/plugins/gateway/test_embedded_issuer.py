"""Token endpoints of applications that issue tokens from the store of an issuer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest

from grantway import ConfigurationError
from grantway_plugins.gateway import EmbeddedIssuer, TokenEndpoint
from grantway_plugins.issuer import IssuerServer, IssuerSettings, TrustedIssuer
from grantway_plugins.issuer._decisions.operator_clients import add_client
from grantway_plugins.server._http.denial import DenialError
from grantway_plugins.server._http.wire import WireFormat, WireRequest
from tests.plugins.issuer.conftest import Caller, Clock
from tests.plugins.issuer.test_private_key_jwt import KEY, Signer, jwks

FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture
def server() -> Iterator[IssuerServer]:
    with IssuerServer(IssuerSettings(registration="unrestricted")) as running:
        yield running


def own_token(
    server: IssuerServer, headers: dict[str, str] | None = None, **params: Any
) -> tuple[int, dict[str, Any]]:
    """Request a token from an endpoint with the issuer's store."""
    made = add_client(
        server.store,
        {"grant_types": ["client_credentials"], "token_endpoint_auth_method": "client_secret_post"},
    )
    asked = {
        "grant_type": "client_credentials",
        "client_id": made["client_id"],
        "client_secret": made["client_secret"],
        **params,
    }
    endpoint = TokenEndpoint(EmbeddedIssuer(server.store, server.settings))
    body = urlencode(asked, doseq=True).encode()
    response = endpoint.respond("POST", {**FORM, **(headers or {})}, body)
    return response.status, json.loads(response.body)


def test_signs_jwts_with_the_keys_in_the_database() -> None:
    with IssuerServer(IssuerSettings(access_token_format="jwt")) as server:
        status, content = own_token(server)
        assert status == 200
        assert content["access_token"].count(".") == 2
        with Caller(server.url) as caller:
            made = add_client(
                server.store, {"grant_types": ["client_credentials"]}, introspects=True
            )
            caller.id, caller.secret = made["client_id"], made["client_secret"]
            caller.method = "client_secret_basic"
            assert caller.active(content["access_token"])


def test_resources_become_the_audience(server: IssuerServer) -> None:
    resources = ["https://one.example/", "https://two.example/"]
    assert own_token(server, resource=resources)[0] == 200
    status, content = own_token(server, resource="not a URI")
    assert (status, content["error"]) == (400, "invalid_target")


def test_a_dpop_proof_is_rejected_and_not_ignored(server: IssuerServer) -> None:
    """A client that sends one would otherwise get a bearer token."""
    status, content = own_token(server, {"DPoP": "x"})
    assert (status, content["error"]) == (400, "invalid_request")
    assert "DPoP is not supported here" in content["error_description"]


def test_an_assertion_of_private_key_jwt_is_rejected_with_the_reason(
    server: IssuerServer,
) -> None:
    with Caller(server.url) as caller:
        signer = Signer(caller, Clock())
        signer.register(jwks=jwks(KEY))
        params = {"grant_type": "client_credentials", "client_assertion": signer.assertion()}
    request = WireRequest(WireFormat.RFC, params)
    other = TrustedIssuer("https://idp.example", jwks=jwks(KEY), subjects=("app",))
    backend = EmbeddedIssuer(server.store, replace(server.settings, trusted_issuers=(other,)))
    for send in (backend.respond, lambda request: asyncio.run(backend.arespond(request))):
        with pytest.raises(DenialError) as rejected:
            send(request)
        assert rejected.value.denial.error == "invalid_client"
        assert "private_key_jwt is not supported here" in rejected.value.denial.description


@pytest.mark.parametrize("settings", [{"require_bound_tokens": True}, {"fapi2": True}])
def test_settings_that_require_bound_tokens_are_rejected(
    server: IssuerServer, settings: dict[str, Any]
) -> None:
    with pytest.raises(ConfigurationError, match="require_bound_tokens must be false"):
        EmbeddedIssuer(server.store, IssuerSettings(issuer=server.url, **settings))
