"""Remembered consent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests

from grantway_plugins.issuer import IssuerServer
from tests.plugins.issuer.conftest import CALLBACK, Caller, Clock
from tests.plugins.issuer.login.conftest import consent_page, issuer_with_login, log_in
from tests.plugins.issuer.login.visitor import Visitor

TOKEN = "t" * 22
ASKED = "to act for you?"


@contextmanager
def remembering(clock: Clock, **settings: Any) -> Iterator[IssuerServer]:
    asked = {
        "registration": "token",
        "registration_token": TOKEN,
        "remember_consent": 3600.0,
        **settings,
    }
    with issuer_with_login(clock, **asked) as server:
        yield server


@pytest.fixture
def server(clock: Clock) -> Iterator[IssuerServer]:
    with remembering(clock) as running:
        yield running


def register(server: IssuerServer, **metadata: Any) -> Caller:
    asked = {"redirect_uris": [CALLBACK], "scope": "a b", **metadata}
    made = requests.post(
        f"{server.url}/register",
        json=asked,
        headers={"Authorization": f"Bearer {TOKEN}"},
        timeout=10,
    ).json()
    caller = Caller(server.url)
    caller.id, caller.secret = made["client_id"], made.get("client_secret", "")
    caller.method = made["token_endpoint_auth_method"]
    return caller


def allow(visitor: Visitor, client: Caller, **params: str) -> None:
    page = visitor.open(client.authorize_url(**params))
    if ASKED not in page.text:
        page = log_in(visitor, page)
    assert "code" in visitor.submit(page, decision="approve").query


def test_a_known_client_asks_once(server: IssuerServer, visitor: Visitor, clock: Clock) -> None:
    with register(server) as client:
        allow(visitor, client, scope="a")
        assert "code" in visitor.open(client.authorize_url(scope="a")).query
        assert "code" in visitor.open(client.authorize_url(scope="a", prompt="none")).query
        assert ASKED in visitor.open(client.authorize_url(scope="a", prompt="consent")).text
        assert ASKED in visitor.open(client.authorize_url(scope="a b")).text
        resource = {"resource": "https://api.example.com/"}
        assert ASKED in visitor.open(client.authorize_url(scope="a", **resource)).text
        allow(visitor, client, scope="b", **resource)
        assert "code" in visitor.open(client.authorize_url(scope="a b", **resource)).query
        clock.tick(3601)
        assert ASKED in log_in(visitor, visitor.open(client.authorize_url(scope="a"))).text


def test_consent_belongs_to_a_user(server: IssuerServer, visitor: Visitor) -> None:
    with register(server) as client, Visitor() as other:
        allow(visitor, client)
        consent_page(other, client, "bob")


def test_a_denial_is_not_remembered(server: IssuerServer, visitor: Visitor) -> None:
    with register(server) as client:
        page = consent_page(visitor, client)
        assert visitor.submit(page, decision="deny").query["error"] == "access_denied"
        assert ASKED in visitor.open(client.authorize_url()).text


def test_consent_is_not_remembered_by_default(clock: Clock, visitor: Visitor) -> None:
    with remembering(clock, remember_consent=0.0) as server, register(server) as client:
        allow(visitor, client)
        assert ASKED in visitor.open(client.authorize_url()).text


def test_a_public_client_on_this_machine_asks_each_time(
    server: IssuerServer, visitor: Visitor
) -> None:
    """Any program could use its client id (RFC 8252 section 8.6)."""
    with register(server, token_endpoint_auth_method="none") as client:
        allow(visitor, client)
        assert ASKED in visitor.open(client.authorize_url()).text


def test_a_public_client_with_an_https_address_asks_once(
    server: IssuerServer,
) -> None:
    address = "https://app.example.com/cb"
    with (
        register(server, token_endpoint_auth_method="none", redirect_uris=[address]) as client,
        Visitor(address) as browser,
    ):
        allow(browser, client, redirect_uri=address)
        assert "code" in browser.open(client.authorize_url(redirect_uri=address)).query


@pytest.mark.parametrize("registration", ["open", "unrestricted"])
def test_a_client_that_anyone_can_register_asks_each_time(
    clock: Clock, visitor: Visitor, registration: str
) -> None:
    settings = {"registration": registration, "registration_token": None}
    with remembering(clock, **settings) as server, Caller(server.url) as client:
        client.register_rfc(grant_types=["authorization_code"])
        allow(visitor, client)
        assert ASKED in visitor.open(client.authorize_url()).text


def test_a_known_client_gets_errors_without_a_page(server: IssuerServer) -> None:
    """A web application can look for a session of the user in the background."""
    address = "https://app.example.com/cb"
    with register(server, redirect_uris=[address]) as client, Visitor(address) as browser:
        answer = browser.open(client.authorize_url(redirect_uri=address, prompt="none"))
        assert answer.query["error"] == "login_required"


def test_anyones_client_gets_no_automatic_redirect_to_the_web(
    clock: Clock, visitor: Visitor
) -> None:
    address = "https://app.example.com/cb"
    settings = {"registration": "open", "registration_token": None}
    with remembering(clock, **settings) as server, Caller(server.url) as client:
        client.register_rfc(grant_types=["authorization_code"], redirect_uris=[address])
        page = visitor.open(client.authorize_url(redirect_uri=address, prompt="none"))
        assert (page.status, "app.example.com" in page.text) == (400, True)
