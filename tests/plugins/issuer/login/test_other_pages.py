"""Logins for pages of extensions, pushed requests, and issuers below a path or behind https."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

import grantway
from grantway_plugins.issuer import (
    Additions,
    IssuerRequest,
    IssuerServer,
    IssuerSettings,
    Page,
    PluginLogin,
    Transaction,
    View,
)
from tests.faults import free_port
from tests.plugins.issuer.conftest import CALLBACK, CHALLENGE, Caller, Clock
from tests.plugins.issuer.login.conftest import PasswordLogin, issuer_with_login, log_in
from tests.plugins.issuer.login.visitor import Shown, Visitor

FORM = "{% call form() %}<p>{{ subject }} {{ gift }}</p>{% endcall %}"


class Gifts:
    """A page that shows the user."""

    def extend(self, settings: IssuerSettings) -> Additions:
        return Additions(pages=[Page("/gift", self.show, self.show)])

    def show(self, request: IssuerRequest, transaction: Transaction) -> View:
        values = {"subject": request.subject, "gift": request.params.get("gift", "")}
        return View("A gift", FORM, values)


class Plugin:
    """Registers the page and the login."""

    @grantway.hookimpl
    def grantway_register_issuer_extensions(self) -> dict[str, Any]:
        return {"gifts": Gifts()}

    @grantway.hookimpl
    def grantway_register_issuer_logins(self) -> dict[str, Any]:
        return {"password": PasswordLogin}


def test_a_page_of_an_extension_has_the_logged_in_user(visitor: Visitor, clock: Clock) -> None:
    settings = IssuerSettings(login=PluginLogin("password"))
    registry = grantway.build_registry({"gifts": Plugin()}, strict=True)
    with IssuerServer(settings, registry=registry, clock=clock) as server:
        page = log_in(visitor, visitor.open(f"{server.url}/gift?gift=bike"))
        assert "<p>ada bike</p>" in page.text
        assert "<p>ada </p>" in visitor.submit(page).text
        clock.tick(3601)
        page = log_in(visitor, visitor.submit(page), "bob")
        assert "<p>bob </p>" in page.text


@pytest.mark.parametrize("prompt", ["", "login"])
def test_a_pushed_request_survives_the_login(rfc: Caller, visitor: Visitor, prompt: str) -> None:
    asked = {
        "response_type": "code",
        "redirect_uri": CALLBACK,
        "state": "pushed",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        "login_hint": "ada@example.com",
        "prompt": prompt,
    }
    pushed = rfc.as_rfc("/par", **{name: each for name, each in asked.items() if each})
    query = {"client_id": rfc.id, "request_uri": pushed.json()["request_uri"]}
    page = visitor.open(f"{rfc.url}/authorize?{urlencode(query)}")
    assert f"prompt={prompt} max_age=None hint=ada@example.com" in page.text
    page = log_in(visitor, page)
    assert visitor.submit(page, decision="approve").query["state"] == "pushed"
    assert "was used already" in visitor.open(page.url).text


def test_an_issuer_below_a_path(visitor: Visitor, clock: Clock) -> None:
    port = free_port()
    settings = IssuerSettings(
        issuer=f"http://127.0.0.1:{port}/auth",
        registration="unrestricted",
        login=PluginLogin("password"),
    )
    registry = grantway.build_registry({"gifts": Plugin()})
    with (
        IssuerServer(settings, port=port, registry=registry, clock=clock) as server,
        Caller(server.url) as rfc,
    ):
        rfc.register_rfc()
        page = log_in(visitor, visitor.open(rfc.authorize_url()))
        page = log_in(visitor, visitor.submit(page, decision="switch"), "bob")
        assert "code" in visitor.submit(page, decision="approve").query
        device = rfc.start()
        page = visitor.open(device["verification_uri_complete"])
        assert "Device connected" in visitor.submit(page, decision="approve").text
        page = visitor.submit(visitor.open(f"{server.url}/session/end"))
        assert "You are logged out" in page.text
        assert {each.path for each in visitor.http.cookies} <= {"/auth", "/auth/device"}


@pytest.mark.parametrize(
    ("url", "cookie", "path"),
    [
        ("https://login.example.com", "__Host-grantway_session", "/"),
        ("https://login.example.com/auth", "__Secure-grantway_session", "/auth"),
        ("https://login.example.com:8443", "__Host-grantway_session_8443", "/"),
        ("http://localhost:8400", "grantway_session_8400", "/"),
    ],
)
def test_the_cookie_is_protected_as_far_as_possible(
    visitor: Visitor, url: str, cookie: str, path: str
) -> None:
    settings = IssuerSettings(issuer=url, registration="off", login=PluginLogin("password"))
    registry = grantway.build_registry({"gifts": Plugin()})
    with IssuerServer(settings, registry=registry, clock=time.time) as server:
        base = url.partition("/auth")[1]
        response = visitor.http.get(f"{server.address}{base}/login", timeout=10)
    (sent,) = [each for each in response.headers["set-cookie"].split(", ") if cookie in each]
    parts = sent.split("; ")
    assert parts[0].startswith(f"{cookie}=")
    assert {"HttpOnly", f"Path={path}", "SameSite=lax"} <= set(parts)
    assert ("Secure" in parts) is url.startswith("https:")
    assert "Domain" not in sent


def test_a_request_that_is_too_long_is_explained(rfc: Caller, visitor: Visitor) -> None:
    page = visitor.open(rfc.authorize_url(state="s" * 9_000))
    assert (page.status, "This link is too long" in page.text) == (414, True)
    hint = "\u00e9" * 1024
    assert visitor.open(rfc.authorize_url(state="s" * 2_000, login_hint=hint)).status == 200


def test_automatic_approval_of_devices_needs_a_user(clock: Clock, visitor: Visitor) -> None:
    with issuer_with_login(clock, approve="auto") as server, Caller(server.url) as rfc:
        started = rfc.register_rfc().start()
        assert rfc.poll(started["device_code"]).json()["error"] == "authorization_pending"
        page = log_in(visitor, visitor.open(started["verification_uri_complete"]))
        visitor.submit(page, decision="approve")
        clock.tick(10)
        token = rfc.poll(started["device_code"]).json()["access_token"]
        assert rfc.as_rfc("/introspect", token=token).json()["sub"] == "ada"


def test_prompt_none_never_shows_a_page(clock: Clock, visitor: Visitor) -> None:
    with issuer_with_login(clock, approve="auto") as server, Caller(server.url) as rfc:
        rfc.register_rfc()
        log_in(visitor, visitor.open(rfc.authorize_url()))
        assert "code" in visitor.open(rfc.authorize_url(prompt="none") + "&login=other").query


def test_a_login_continues_at_another_issuer_of_the_database(
    visitor: Visitor, clock: Clock, tmp_path: Path
) -> None:
    settings = {"database": tmp_path / "x.db", "issuer": "http://localhost"}
    with (
        issuer_with_login(clock, **settings) as first,
        issuer_with_login(clock, **settings) as second,
        Caller(first.address) as rfc,
    ):
        page = visitor.open(rfc.register_rfc().authorize_url())
        elsewhere = Shown(f"{second.address}/", text=page.text)
        page = log_in(visitor, elsewhere)
        assert "to act for you?" in page.text
        assert page.url.startswith(second.address)
        assert "to act for you?" in visitor.open(rfc.authorize_url()).text
