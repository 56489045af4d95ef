"""Tests of client credentials and token exchange at the embedded issuer."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from grantway_plugins.grants import client_credentials, token_exchange
from grantway_plugins.grants.token_exchange import ACCESS_TOKEN, REFRESH_TOKEN
from grantway_plugins.issuer import IssuerServer
from tests.plugins.grants.conftest import GRANTS, Register
from tests.plugins.issuer.conftest import Caller, Clock
from tests.waiting import PATIENCE


def own(caller: Caller, **params: Any) -> requests.Response:
    return caller.as_rfc("/token", grant_type=client_credentials.GRANT_TYPE, **params)


def own_token(caller: Caller, **params: Any) -> str:
    response = own(caller, **params)
    assert response.status_code == 200, response.text
    return str(response.json()["access_token"])


def exchange(caller: Caller, subject_token: str, **params: Any) -> requests.Response:
    asked = {"subject_token": subject_token, "subject_token_type": ACCESS_TOKEN, **params}
    return caller.as_rfc("/token", grant_type=token_exchange.GRANT_TYPE, **asked)


def facts(caller: Caller, token: str) -> dict[str, Any]:
    response = caller.as_rfc("/introspect", token=token)
    assert response.status_code == 200, response.text
    return dict(response.json())


def said(response: requests.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]


def test_the_metadata_lists_the_grants(server: IssuerServer) -> None:
    document = requests.get(
        f"{server.url}/.well-known/oauth-authorization-server", timeout=PATIENCE
    )
    assert set(GRANTS) < set(document.json()["grant_types_supported"])
    assert "password" not in document.json()["grant_types_supported"]


# --- client credentials ---


def test_issues_a_token_for_the_client_itself(register: Register) -> None:
    caller = register()
    response = own(caller, scope="a").json()
    assert set(response) == {"access_token", "token_type", "expires_in", "scope"}
    assert (response["scope"], response["expires_in"]) == ("a", 3600)
    known = facts(caller, response["access_token"])
    assert (known["sub"], known["client_id"]) == (caller.id, caller.id)
    assert "aud" not in known


def test_a_resource_is_the_audience(register: Register) -> None:
    caller = register()
    one = own_token(caller, resource="https://a.example/")
    assert facts(caller, one)["aud"] == ["https://a.example/"]
    two = own_token(caller, resource=["https://a.example/", "https://b.example/"])
    assert facts(caller, two)["aud"] == ["https://a.example/", "https://b.example/"]
    assert said(own(caller, resource="orders")) == (400, "invalid_target")


def test_limits_scopes_to_the_registered_ones(register: Register) -> None:
    assert said(own(register(), scope="a c")) == (400, "invalid_scope")


@pytest.mark.parametrize("grant_type", [client_credentials.GRANT_TYPE, token_exchange.GRANT_TYPE])
def test_rejects_public_clients(server: IssuerServer, register: Register, grant_type: str) -> None:
    token = own_token(register())
    params = {"subject_token": token, "subject_token_type": ACCESS_TOKEN}
    params = params if grant_type == token_exchange.GRANT_TYPE else {}
    public = register(token_endpoint_auth_method="none")
    response = public.as_rfc("/token", grant_type=grant_type, **params)
    assert said(response) == (400, "unauthorized_client")
    with Caller(server.url) as aws:
        aws.register_aws(grantTypes=[grant_type])
        response = aws.as_rfc("/token", grant_type=grant_type, **params)
        assert said(response) == (400, "unauthorized_client")


@pytest.mark.parametrize("kind", ["rfc", "aws"])
def test_rejects_clients_not_registered_for_the_grant(
    server: IssuerServer, register: Register, kind: str
) -> None:
    with Caller(server.url) as other:
        caller = other.register_aws() if kind == "aws" else register(grant_types=["refresh_token"])
        assert said(own(caller)) == (400, "unauthorized_client")
        assert said(exchange(caller, "t")) == (400, "unauthorized_client")


# --- token exchange ---


def test_exchanges_a_token_of_another_client(register: Register, clock: Clock) -> None:
    front, back = register(), register()
    subject = own_token(front)
    clock.tick(600)
    response = exchange(back, subject, scope="b", audience="orders").json()
    assert response["issued_token_type"] == ACCESS_TOKEN
    assert (response["scope"], response["expires_in"]) == ("b", 3000)
    assert "refresh_token" not in response
    known = facts(front, response["access_token"])
    assert (known["sub"], known["client_id"], known["aud"]) == (front.id, back.id, ["orders"])
    assert facts(front, subject)["active"]


def test_exchanged_tokens_expire_with_their_subject(register: Register, clock: Clock) -> None:
    caller = register()
    subject = own_token(caller)
    clock.tick(3599)
    made = exchange(caller, subject).json()["access_token"]
    again = exchange(caller, made).json()
    assert again["expires_in"] == 1
    clock.tick(1)
    assert not caller.active(again["access_token"])


def test_an_exchange_can_only_narrow_scopes(register: Register) -> None:
    front, back = register(), register(scope="b c")
    assert exchange(back, own_token(front)).json()["scope"] == "b"
    assert said(exchange(back, own_token(front, scope="a"))) == (400, "invalid_scope")
    assert said(exchange(back, own_token(front), scope="b c")) == (400, "invalid_scope")
    assert said(exchange(back, own_token(front), scope="a")) == (400, "invalid_scope")


def test_an_exchange_keeps_the_audience(register: Register) -> None:
    front, back, stranger = register(), register(), register()
    bound = exchange(front, own_token(front), audience=back.id).json()["access_token"]
    kept = exchange(back, bound).json()["access_token"]
    assert facts(back, kept)["aud"] == [back.id]
    onward = exchange(back, bound, audience="a", resource="https://b.example/").json()
    assert facts(back, onward["access_token"])["aud"] == ["a", "https://b.example/"]
    assert said(exchange(stranger, bound)) == (400, "invalid_request")
    assert exchange(front, bound).status_code == 200


@pytest.mark.parametrize("why", ["unknown", "revoked", "expired", "refresh token"])
def test_accepts_only_valid_access_tokens_of_this_issuer(
    server: IssuerServer, register: Register, clock: Clock, why: str
) -> None:
    caller = register()
    token = own_token(caller)
    if why == "unknown":
        token = "somebody-elses"
    elif why == "revoked":
        assert caller.as_rfc("/revoke", token=token).status_code == 200
    elif why == "expired":
        clock.tick(3600)
    else:
        with Caller(server.url) as frontend:
            token = frontend.register_rfc().login()["refresh_token"]
    response = exchange(caller, token)
    assert said(response) == (400, "invalid_request")
    assert token not in response.text


def test_tokens_of_a_revoked_approval_cannot_be_exchanged(
    server: IssuerServer, register: Register
) -> None:
    caller = register()
    with Caller(server.url) as frontend:
        tokens = frontend.register_rfc().login()
        assert exchange(caller, tokens["access_token"]).status_code == 200
        frontend.as_rfc("/revoke", token=tokens["refresh_token"])
    assert said(exchange(caller, tokens["access_token"])) == (400, "invalid_request")


def test_revoking_a_login_revokes_the_tokens_exchanged_from_it(
    server: IssuerServer, register: Register
) -> None:
    front, back = register(), register()
    with Caller(server.url) as frontend:
        tokens, other = frontend.register_rfc().login(), frontend.login()
        made = exchange(front, tokens["access_token"]).json()["access_token"]
        again = exchange(back, made).json()["access_token"]
        kept = exchange(front, other["access_token"]).json()["access_token"]
        frontend.as_rfc("/revoke", token=tokens["refresh_token"])
    assert not front.active(made)
    assert not front.active(again)
    assert said(exchange(back, made)) == (400, "invalid_request")
    assert front.active(kept)


@pytest.mark.parametrize(
    "params",
    [
        {"subject_token_type": REFRESH_TOKEN},
        {"requested_token_type": REFRESH_TOKEN},
        {"actor_token": "t", "actor_token_type": ACCESS_TOKEN},
    ],
)
def test_rejects_unsupported_parameters(register: Register, params: dict[str, str]) -> None:
    caller = register()
    assert said(exchange(caller, own_token(caller), **params)) == (400, "invalid_request")
