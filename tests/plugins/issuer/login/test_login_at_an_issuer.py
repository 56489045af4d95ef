"""Users log in at another issuer of grantway."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from grantway_plugins._jwt import unverified_claims
from grantway_plugins.issuer import IssuerServer, IssuerSettings, OpenIDLogin
from tests.plugins.issuer.conftest import Caller
from tests.plugins.issuer.login.conftest import issuer_with_login, log_in
from tests.plugins.issuer.login.visitor import Shown, Visitor

ASKED = "to act for you?"
OPENID = "openid profile email"


@dataclass(frozen=True)
class Chain:
    """An issuer with passwords, and an issuer whose users log in there."""

    upstream: IssuerServer
    server: IssuerServer


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    with (
        issuer_with_login(time.time, name="Upstream") as upstream,
        Caller(upstream.url) as registration,
    ):
        registration.register_rfc(
            scope=OPENID,
            client_name="Downstream",
            redirect_uris=["http://127.0.0.1/login/callback"],
            grant_types=["authorization_code"],
        )
        login = OpenIDLogin(
            upstream.url,
            registration.id,
            registration.secret,
            allow={"email": ("*@example.com",)},
        )
        settings = IssuerSettings(registration="unrestricted", login=login)
        with IssuerServer(settings) as server:
            yield Chain(upstream, server)


@pytest.fixture
def client(chain: Chain) -> Iterator[Caller]:
    with Caller(chain.server.url) as made:
        yield made.register_rfc(scope=OPENID)


@pytest.fixture
def visitor() -> Iterator[Visitor]:
    with Visitor() as made:
        yield made


def allow_upstream(visitor: Visitor, page: Shown, user: str) -> Shown:
    """Log in at the upstream issuer, and allow the downstream issuer to know the user."""
    page = log_in(visitor, page, user)
    assert "<title>Allow Downstream?" in page.text, page.text
    return visitor.submit(page, decision="approve")


def test_a_user_of_the_other_issuer_gets_an_id_token(client: Caller, visitor: Visitor) -> None:
    began = int(time.time())
    page = allow_upstream(visitor, visitor.open(client.authorize_url(nonce="n-1")), "ada")
    assert ASKED in page.text
    redirect = visitor.submit(page, decision="approve")
    tokens = client.redeem(redirect.query["code"]).json()
    claims = unverified_claims(tokens["id_token"])
    assert (claims["iss"], claims["nonce"]) == (client.url, "n-1")
    assert began <= claims["auth_time"] <= time.time()
    assert claims["sid"]
    shown: dict[str, Any] = client.http.get(
        f"{client.url}/userinfo", headers={"Authorization": f"Bearer {tokens['access_token']}"}
    ).json()
    assert shown.pop("sub") == claims["sub"]
    assert shown == {"name": "Ada", "email": "ada@example.com", "email_verified": True}


def test_the_id_token_logs_the_user_out(client: Caller, visitor: Visitor) -> None:
    page = allow_upstream(visitor, visitor.open(client.authorize_url()), "ada")
    redirect = visitor.submit(page, decision="approve")
    hint = client.redeem(redirect.query["code"]).json()["id_token"]
    page = visitor.open(f"{client.url}/session/end?id_token_hint={hint}")
    assert "You are logged out" in page.text
    assert "You are logged in" not in visitor.open(f"{client.url}/").text


def test_both_issuers_keep_their_sessions(client: Caller, visitor: Visitor, chain: Chain) -> None:
    """Browsers send the cookies of one port of a host to the other ports."""
    allow_upstream(visitor, visitor.open(client.authorize_url()), "ada")
    for issuer in (chain.upstream, chain.server):
        assert "You are logged in as" in visitor.open(f"{issuer.url}/").text


@pytest.mark.parametrize("alg", ["ES256", "EdDSA"])
def test_id_tokens_of_several_algorithms_are_accepted(
    visitor: Visitor, chain: Chain, alg: str
) -> None:
    with Caller(chain.upstream.url) as registration:
        registration.register_rfc(
            scope=OPENID,
            client_name="Downstream",
            redirect_uris=["http://127.0.0.1/login/callback"],
            id_token_signed_response_alg=alg,
        )
    login = OpenIDLogin(chain.upstream.url, registration.id, registration.secret)
    with IssuerServer(IssuerSettings(login=login)) as server:
        page = allow_upstream(visitor, visitor.open(f"{server.url}/login"), "ada")
        assert "You are logged in as" in page.text


def test_another_account_can_be_chosen(client: Caller, visitor: Visitor) -> None:
    page = allow_upstream(visitor, visitor.open(client.authorize_url()), "ada")
    page = visitor.submit(page, decision="switch")
    assert "prompt=select_account" in page.text
    page = allow_upstream(visitor, page, "bob")
    assert "bob@example.com" in page.text


def test_prompt_login_reaches_the_other_issuer(client: Caller, visitor: Visitor) -> None:
    allow_upstream(visitor, visitor.open(client.authorize_url()), "ada")
    page = visitor.open(client.authorize_url(prompt="login", max_age="60", login_hint="ada"))
    assert "prompt=login max_age=60.0 hint=ada" in page.text
    assert ASKED in allow_upstream(visitor, page, "ada").text


def test_a_denial_at_the_other_issuer_can_be_tried_again(client: Caller, visitor: Visitor) -> None:
    page = log_in(visitor, visitor.open(client.authorize_url()), "ada")
    page = visitor.submit(page, decision="deny")
    assert (page.status, "You cancelled the login" in page.text) == (403, True)
    page = visitor.submit(visitor.open(page.links["Try again"]), decision="approve")
    assert ASKED in page.text
