"""Signed introspection responses (RFC 9701)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import requests
from joserfc import jwt
from joserfc.jwk import KeySet

from grantway_plugins.grants import client_credentials
from grantway_plugins.issuer import IssuerServer, IssuerSettings, KeySettings
from grantway_plugins.issuer._decisions.operator_clients import add_client
from tests.plugins.issuer.conftest import Caller

SIGNED = "application/token-introspection+jwt"
ALGORITHM = "introspection_signed_response_alg"
METADATA = {"grant_types": [client_credentials.GRANT_TYPE], "scope": "a"}
SETTINGS = IssuerSettings(
    registration="open",
    registration_grant_types=(client_credentials.GRANT_TYPE,),
    keys=KeySettings(algorithms=("ES256", "ES384")),
)


@pytest.fixture(scope="module")
def server() -> Iterator[IssuerServer]:
    with IssuerServer(SETTINGS) as running:
        yield running


@pytest.fixture
def caller(server: IssuerServer) -> Iterator[Caller]:
    with Caller(server.url) as made:
        yield made


def token_of(caller: Caller, **params: Any) -> str:
    made = caller.as_rfc("/token", grant_type=client_credentials.GRANT_TYPE, **params)
    token: str = made.json()["access_token"]
    return token


def introspect(caller: Caller, token: str, accept: str | None = None) -> requests.Response:
    headers = {} if accept is None else {"Accept": accept}
    return caller.http.post(
        f"{caller.url}/introspect",
        data={"token": token},
        auth=(caller.id, caller.secret),
        headers=headers,
    )


def verified(caller: Caller, response: requests.Response, algorithm: str) -> jwt.Token:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == SIGNED
    assert response.headers["cache-control"] == "no-store"
    published: Any = caller.http.get(f"{caller.url}/jwks").json()
    keys = KeySet.import_key_set(published)
    token = jwt.decode(response.text, keys, algorithms=[algorithm])
    assert token.header["typ"] == "token-introspection+jwt"
    return token


def test_the_metadata_lists_the_algorithms(caller: Caller) -> None:
    found = caller.http.get(f"{caller.url}/.well-known/oauth-authorization-server").json()
    assert found["introspection_signing_alg_values_supported"] == ["ES256", "ES384"]


@pytest.mark.parametrize("accept", [SIGNED, f"application/json;q=0.5, {SIGNED.upper()}; q=1"])
def test_signs_the_response_to_a_request_that_accepts_it(caller: Caller, accept: str) -> None:
    token = token_of(caller.register_rfc(**METADATA))
    before = int(time.time())
    claims = verified(caller, introspect(caller, token, accept), "ES256").claims
    assert before <= claims.pop("iat") <= time.time()
    # No other claims: the JWT must not pass for an ID token or an access token.
    assert claims == {
        "iss": caller.url,
        "aud": caller.id,
        "token_introspection": introspect(caller, token).json(),
    }
    assert claims["token_introspection"]["active"] is True


@pytest.mark.parametrize("accept", [None, "*/*", "application/json"])
def test_signs_every_response_to_a_client_with_an_algorithm(
    caller: Caller, accept: str | None
) -> None:
    caller.register_rfc(**METADATA, introspection_signed_response_alg="ES384")
    response = introspect(caller, token_of(caller), accept)
    assert verified(caller, response, "ES384").claims["token_introspection"]["active"] is True


def test_an_unknown_token_is_inactive_and_nothing_else(caller: Caller) -> None:
    response = introspect(caller.register_rfc(**METADATA), "unknown", SIGNED)
    assert verified(caller, response, "ES256").claims["token_introspection"] == {"active": False}


def test_a_token_of_another_client_is_inactive(server: IssuerServer, caller: Caller) -> None:
    token = token_of(caller.register_rfc(**METADATA))
    with Caller(server.url) as other:
        response = introspect(other.register_rfc(**METADATA), token, SIGNED)
        claims = verified(other, response, "ES256").claims
    assert (claims["aud"], claims["token_introspection"]) == (other.id, {"active": False})


@pytest.mark.parametrize("accept", ["", "application/jwt", f"x{SIGNED}", "é", "," * 5000])
def test_another_accept_header_gets_json(caller: Caller, accept: str) -> None:
    response = introspect(caller.register_rfc(**METADATA), "unknown", accept)
    assert response.headers["content-type"] == "application/json"
    assert response.json() == {"active": False}


def test_errors_are_json(caller: Caller) -> None:
    caller.register_rfc(**METADATA)
    caller.secret = "wrong"
    response = introspect(caller, "unknown", SIGNED)
    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("algorithm", ["RS256", "none", "HS256", "", "x" * 5000, 7, ["ES256"]])
def test_rejects_an_algorithm_without_a_key(caller: Caller, algorithm: Any) -> None:
    response = caller.http.post(f"{caller.url}/register", json={**METADATA, ALGORITHM: algorithm})
    assert (response.status_code, response.json()["error"]) == (400, "invalid_client_metadata")
    assert ALGORITHM in response.json()["error_description"]


def test_rs256_is_the_default_of_an_issuer_with_such_a_key() -> None:
    keys = KeySettings(algorithms=("ES256", "RS256"))
    with IssuerServer(replace(SETTINGS, keys=keys)) as server, Caller(server.url) as caller:
        response = introspect(caller.register_rfc(**METADATA), "unknown", SIGNED)
        verified(caller, response, "RS256")


def test_an_operators_client_with_an_algorithm_without_a_key(
    server: IssuerServer, caller: Caller
) -> None:
    made = add_client(server.store, {**METADATA, ALGORITHM: "PS256"})
    caller.id, caller.secret = made["client_id"], made["client_secret"]
    response = introspect(caller, "unknown")
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")
    assert "no key for the client's introspection_signed_response_alg, PS256" in response.text


def test_an_issuer_without_keys_signs_nothing() -> None:
    settings = replace(SETTINGS, keys=KeySettings(enabled=False))
    with IssuerServer(settings) as server, Caller(server.url) as caller:
        rejected = caller.http.post(f"{caller.url}/register", json={**METADATA, ALGORITHM: "ES256"})
        assert rejected.json()["error"] == "invalid_client_metadata"
        response = introspect(caller.register_rfc(**METADATA), "unknown", SIGNED)
        assert response.json() == {"active": False}
        metadata = caller.http.get(f"{caller.url}/.well-known/oauth-authorization-server").json()
        assert not [name for name in metadata if name.startswith("introspection_signing")]
