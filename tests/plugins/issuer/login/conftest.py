"""An issuer whose users log in on a page of a plugin, with a controllable clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import grantway
from grantway._plugins.registry import Registry
from grantway._types.issuer_plugins import IssuerLogin
from grantway_plugins.issuer import (
    Identity,
    IssuerServer,
    IssuerSettings,
    LoginFailure,
    LoginRequest,
    PluginLogin,
    View,
)
from tests.plugins.issuer.conftest import Caller, Clock
from tests.plugins.issuer.login.visitor import Shown, Visitor

PASSWORD = "correct horse"
_FORM = """
{% if problem %}<p class="problem">{{ problem }}</p>{% endif %}
<p>prompt={{ prompt }} max_age={{ max_age }} hint={{ hint }}</p>
{% call form() %}<input name="user"><input name="password" type="password">
<div class="choices"><button type="submit" class="allow">Log in</button></div>{% endcall %}
"""


class PasswordLogin:
    """Asks for a name and the password; the name ``broken`` raises an exception."""

    def __init__(self, *, title: str = "Log in") -> None:
        self._title = title

    def begin(self, request: LoginRequest) -> View:
        return self._page(request, "")

    def finish(self, request: LoginRequest) -> View | Identity | LoginFailure:
        user = str(request.params.get("user", ""))
        if user == "broken":
            raise RuntimeError("a secret")
        if user == "banned":
            return LoginFailure("This account is closed.", "banned", other_account=True)
        if request.params.get("password") != PASSWORD:
            return self._page(request, "Wrong name or password.")
        claims = {"name": user.title(), "email": f"{user}@example.com", "email_verified": True}
        return Identity(user, claims)

    def _page(self, request: LoginRequest, problem: str) -> View:
        values = {
            "problem": problem,
            "prompt": request.prompt,
            "max_age": request.max_age,
            "hint": request.login_hint,
        }
        return View(self._title, _FORM, values, status=400 if problem else 200)


class Plugin:
    """Registers the login."""

    @grantway.hookimpl
    def grantway_register_issuer_logins(self) -> dict[str, type[IssuerLogin]]:
        return {"password": PasswordLogin}


def registry() -> Registry:
    return grantway.build_registry({"passwords": Plugin()}, strict=True)


@contextmanager
def issuer_with_login(clock: Callable[[], float], **settings: Any) -> Iterator[IssuerServer]:
    database = settings.pop("database", ":memory:")
    asked = {"registration": "unrestricted", "login": PluginLogin("password"), **settings}
    with IssuerServer(
        IssuerSettings(**asked), database=database, clock=clock, registry=registry()
    ) as running:
        yield running


@pytest.fixture
def server(clock: Clock) -> Iterator[IssuerServer]:
    with issuer_with_login(clock) as running:
        yield running


@pytest.fixture
def visitor() -> Iterator[Visitor]:
    with Visitor() as made:
        yield made


def log_in(visitor: Visitor, page: Shown, user: str = "ada", password: str = PASSWORD) -> Shown:
    """Fill in the login form."""
    assert "<h1>Log in</h1>" in page.text, page.text
    return visitor.submit(page, user=user, password=password)


def consent_page(visitor: Visitor, rfc: Caller, user: str = "ada", **params: str) -> Shown:
    """Open an authorization request and log in."""
    page = log_in(visitor, visitor.open(rfc.authorize_url(**params)), user)
    assert "to act for you?" in page.text, page.text
    return page
