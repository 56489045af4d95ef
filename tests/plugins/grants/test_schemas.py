"""Tests of the client side of each grant: parameters, validation, retries and secrets."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

import pytest

import grantway
from grantway._exceptions import ConfigurationError
from grantway.testing import assert_grant_conforms
from grantway_plugins.grants import (
    ciba,
    client_credentials,
    jwt_bearer,
    password,
    saml_bearer,
    token_exchange,
)
from grantway_plugins.grants.password import PasswordGrantWarning
from tests.plugins.client_auth.scripted import TOKEN_ENDPOINT, Scripted, answer, refusal, token

JWT = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJ4In0.c2lnbmF0dXJl"
SAML = saml_bearer.encode_assertion("<saml:Assertion>é</saml:Assertion>")
WORKS: list[tuple[grantway.Grant, dict[str, Any]]] = [
    (client_credentials.CLIENT_CREDENTIALS, {"scope": ["a", "b"]}),
    (
        token_exchange.TOKEN_EXCHANGE,
        {"subject_token": "s3cret-subject", "subject_token_type": token_exchange.ACCESS_TOKEN},
    ),
    (jwt_bearer.JWT_BEARER, {"assertion": JWT}),
    (saml_bearer.SAML_BEARER, {"assertion": SAML}),
    (ciba.CIBA, {"auth_req_id": "1c266114-a1be"}),
    (password.PASSWORD, {"username": "älice", "password": "correct hörse"}),
]
BY_NAME = pytest.mark.parametrize(
    ("grant", "params"), WORKS, ids=[grant.grant_type.rsplit(":", 1)[-1] for grant, _ in WORKS]
)


@pytest.fixture(scope="module")
def registry() -> grantway.Registry:
    with pytest.warns(PasswordGrantWarning):
        return grantway.build_registry({"password": password}, strict=True)


def client(registry: grantway.Registry, transport: Scripted) -> grantway.Client:
    return grantway.Client(
        grantway.Provider(TOKEN_ENDPOINT),
        client_id="me",
        client_secret="s3cr3t-of-mine",
        registry=registry,
        transport=transport,
        retry=grantway.RetryPolicy(base=0),
    )


@BY_NAME
def test_passes_the_conformance_kit(grant: grantway.Grant, params: dict[str, Any]) -> None:
    assert_grant_conforms(grant, example=params)


@BY_NAME
def test_sends_the_parameters_of_its_specification(
    registry: grantway.Registry, grant: grantway.Grant, params: dict[str, Any]
) -> None:
    transport = Scripted([token()])
    client(registry, transport).create_token(grant_type=grant.grant_type, **params)
    sent = parse_qs(transport.requests[0].body.decode())
    texts = {
        name: [" ".join(value) if isinstance(value, list) else value]
        for name, value in params.items()
    }
    assert sent == {"grant_type": [grant.grant_type], **texts}


@BY_NAME
def test_errors_do_not_contain_secrets(
    registry: grantway.Registry, grant: grantway.Grant, params: dict[str, Any]
) -> None:
    secrets = [params[name] for name in grant.secret if name in params]
    transport = Scripted([refusal("invalid_grant", f"not this: {' '.join(secrets)}")])
    with pytest.raises(grantway.InvalidGrantException) as refused:
        client(registry, transport).create_token(grant_type=grant.grant_type, **params)
    for secret in secrets:
        assert secret not in f"{refused.value!r} {refused.value} {refused.value.error_description}"


@BY_NAME
def test_retries_only_grants_that_are_safe_to_repeat(
    registry: grantway.Registry, grant: grantway.Grant, params: dict[str, Any]
) -> None:
    """An invalid response leaves the outcome unknown, so only safe grants are sent again."""
    lost = grantway.OutcomeUnknownError("The answer was lost.")
    transport = Scripted([lost, token()])
    calling = client(registry, transport)
    if grant.grant_type == client_credentials.GRANT_TYPE:
        assert calling.create_token(grant_type=grant.grant_type, **params).access_token == "at-1"
        assert len(transport.requests) == 2
    else:
        with pytest.raises(grantway.OutcomeUnknownError):
            calling.create_token(grant_type=grant.grant_type, **params)
        assert len(transport.requests) == 1


EXCHANGE = {"subject_token": "t", "subject_token_type": token_exchange.ACCESS_TOKEN}


@pytest.mark.parametrize(
    ("grant_type", "params", "wrong"),
    [
        ("client_credentials", {"scope": 'a"b'}, ["scope"]),
        ("client_credentials", {"resource": "orders"}, ["resource"]),
        ("client_credentials", {"resource": []}, ["resource"]),
        ("client_credentials", {"resource": ["https://x.example/#part"]}, ["resource"]),
        (token_exchange.GRANT_TYPE, {}, ["subject_token", "subject_token_type"]),
        (
            token_exchange.GRANT_TYPE,
            {**EXCHANGE, "subject_token_type": "access_token"},
            ["subject_token_type"],
        ),
        (token_exchange.GRANT_TYPE, {**EXCHANGE, "actor_token": "t"}, ["actor_token_type"]),
        (
            token_exchange.GRANT_TYPE,
            {**EXCHANGE, "actor_token_type": token_exchange.JWT},
            ["actor_token"],
        ),
        (token_exchange.GRANT_TYPE, {**EXCHANGE, "audience": ["orders", 7]}, ["audience"]),
        (jwt_bearer.GRANT_TYPE, {}, ["assertion"]),
        (jwt_bearer.GRANT_TYPE, {"assertion": "not.a jwt"}, ["assertion"]),
        (jwt_bearer.GRANT_TYPE, {"assertion": f"{JWT}.more.parts"}, ["assertion"]),
        (saml_bearer.GRANT_TYPE, {"assertion": "<Assertion/>"}, ["assertion"]),
        (saml_bearer.GRANT_TYPE, {"assertion": "bm90IHhtbA"}, ["assertion"]),
        (saml_bearer.GRANT_TYPE, {"assertion": "+/+/"}, ["assertion"]),
        (saml_bearer.GRANT_TYPE, {"assertion": None}, ["assertion"]),
        (ciba.GRANT_TYPE, {"auth_req_id": ""}, ["auth_req_id"]),
        ("password", {"username": "a\x00b"}, ["password", "username"]),
    ],
)
def test_sends_nothing_if_the_schema_rejects_a_parameter(
    registry: grantway.Registry, grant_type: str, params: Mapping[str, Any], wrong: list[str]
) -> None:
    transport = Scripted([])
    with pytest.raises(grantway.RequestInvalidError) as refused:
        client(registry, transport).create_token(grant_type=grant_type, **params)
    assert sorted(refused.value.errors) == wrong
    assert not transport.requests


def test_repeats_repeatable_parameters_in_the_form(registry: grantway.Registry) -> None:
    transport = Scripted([token()])
    client(registry, transport).create_token(
        grant_type=token_exchange.GRANT_TYPE,
        **EXCHANGE,
        audience=["orders", "stock", "orders"],
        resource="https://api.example/",
    )
    sent = parse_qs(transport.requests[0].body.decode())
    assert sent["audience"] == ["orders", "stock"]
    assert sent["resource"] == ["https://api.example/"]


def test_the_issued_token_type_is_in_extra(registry: grantway.Registry) -> None:
    body = {
        "access_token": "at-1",
        "token_type": "N_A",
        "issued_token_type": token_exchange.SAML2,
    }
    transport = Scripted([answer(200, body)])
    found = client(registry, transport).create_token(
        grant_type=token_exchange.GRANT_TYPE, **EXCHANGE
    )
    assert found.token_type == "N_A"
    assert found.extra == {"issued_token_type": token_exchange.SAML2}


def test_encodes_an_assertion_as_base64url_without_padding() -> None:
    xml = "<saml:Assertion>?>é</saml:Assertion>"
    encoded = saml_bearer.encode_assertion(xml)
    assert "=" not in encoded
    assert base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode() == xml
    with pytest.raises(ConfigurationError, match="XML"):
        saml_bearer.encode_assertion(encoded)


def test_the_password_grant_must_be_registered_explicitly() -> None:
    assert "password" not in grantway.build_registry(strict=True).grants
    with pytest.warns(PasswordGrantWarning, match=r"RFC 9700") as warned:
        asked = grantway.build_registry({"password": password}, strict=True)
    assert len(warned) == 1
    assert "password" in asked.grants
    assert "password" not in asked.issuer_grants


@pytest.mark.parametrize(
    "name", ["ciba", "client_credentials", "jwt_bearer", "saml_bearer", "token_exchange"]
)
def test_each_grant_is_a_plugin_that_can_be_blocked(name: str) -> None:
    everything = grantway.build_registry(strict=True)
    without = grantway.build_registry(block=[name], strict=True)
    (gone,) = set(everything.grants) - set(without.grants)
    assert everything.owner(gone).name == name
    assert gone not in without.issuer_grants
