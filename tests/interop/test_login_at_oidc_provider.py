"""Users of the embedded issuer log in at npm's oidc-provider."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from grantway_plugins.issuer import IssuerServer, IssuerSettings, OpenIDLogin
from tests.interop.oidc_provider import OidcProvider
from tests.plugins.issuer.conftest import Caller
from tests.plugins.issuer.login.visitor import Shown, Visitor


def login_at(provider: OidcProvider, **settings: Any) -> OpenIDLogin:
    client = provider.clients["issuer"]
    given = {"scopes": ("openid", "email"), "prompts": {"select_account": "login"}, **settings}
    return OpenIDLogin(
        issuer=provider.issuer,
        client_id=client.client_id,
        client_secret=client.client_secret,
        **given,
    )


def issuer_of(login: OpenIDLogin) -> IssuerServer:
    return IssuerServer(IssuerSettings(registration="unrestricted", login=login))


@pytest.fixture(scope="module")
def server(oidc_provider: OidcProvider) -> Iterator[IssuerServer]:
    with issuer_of(login_at(oidc_provider)) as running:
        yield running


@pytest.fixture
def rfc(server: IssuerServer) -> Iterator[Caller]:
    with Caller(server.url) as made:
        yield made.register_rfc()


@pytest.fixture
def visitor() -> Iterator[Visitor]:
    with Visitor() as made:
        yield made


def log_in(visitor: Visitor, page: Shown, user: str = "ada") -> Shown:
    """Log in and consent at the provider, and return to the issuer."""
    for _ in range(6):
        if "grantway issuer" in page.text:
            return page
        typed = {"login": user, "password": "any"} if "login" in page.text else {}
        page = visitor.submit(page, **typed)
    raise AssertionError(page.text)


def test_a_user_logs_in_at_the_provider(
    oidc_provider: OidcProvider, server: IssuerServer, rfc: Caller, visitor: Visitor
) -> None:
    page = visitor.open(rfc.authorize_url(login_hint="ada"))
    asked = parse_qs(urlsplit(next(each for each in page.hops if "/auth?" in each)).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["login_hint"] == ["ada"]
    assert {"state", "nonce"} <= set(asked)
    page = log_in(visitor, page)
    assert "ada@example.com" in page.text
    code = visitor.submit(page, decision="approve").query["code"]
    token = rfc.redeem(code).json()["access_token"]
    subject = rfc.as_rfc("/introspect", token=token).json()["sub"]
    assert (len(subject), "ada" in subject) == (43, False)
    user = server.store.run(lambda found: found.users.find(subject))
    assert user is not None
    assert user.claims == {"email": "ada@example.com", "email_verified": True}


def test_the_subject_is_the_same_at_every_login(rfc: Caller, visitor: Visitor) -> None:
    subjects = []
    for user in ("ada", "ada", "bob"):
        with Visitor() as browser:
            page = log_in(browser, browser.open(rfc.authorize_url()), user)
            code = browser.submit(page, decision="approve").query["code"]
        token = rfc.redeem(code).json()["access_token"]
        subjects.append(rfc.as_rfc("/introspect", token=token).json()["sub"])
    assert subjects[0] == subjects[1] != subjects[2]


def test_prompt_login_asks_for_the_password_again(rfc: Caller, visitor: Visitor) -> None:
    log_in(visitor, visitor.open(rfc.authorize_url()))
    assert "to act for you?" in visitor.open(rfc.authorize_url()).text
    page = visitor.open(rfc.authorize_url(prompt="login"))
    assert "/interaction/" in page.url
    assert "to act for you?" in log_in(visitor, page).text


def test_users_can_change_the_account(rfc: Caller, visitor: Visitor) -> None:
    page = log_in(visitor, visitor.open(rfc.authorize_url()))
    page = log_in(visitor, visitor.submit(page, decision="switch"), "bob")
    assert "bob@example.com" in page.text


def test_a_cancelled_login_can_be_tried_again(rfc: Caller, visitor: Visitor) -> None:
    page = visitor.open(rfc.authorize_url())
    page = visitor.open(page.links["[ Cancel ]"])
    assert (page.status, "You cancelled the login" in page.text) == (403, True)
    page = log_in(visitor, visitor.open(page.links["Try again"]))
    assert visitor.submit(page, decision="approve").query["state"] == "xyz"


def test_a_callback_works_once_and_in_one_browser(rfc: Caller, visitor: Visitor) -> None:
    page = visitor.open(rfc.authorize_url())
    with Visitor() as attacker:
        stopped = log_in_until_callback(attacker, attacker.open(rfc.authorize_url()))
        injected = visitor.open(stopped.url)
        assert (injected.status, "another browser" in injected.text) == (400, True)
        assert "Try again" not in injected.text
        assert "to act for you?" in attacker.open(stopped.url).text
        replayed = attacker.open(stopped.url)
        assert (replayed.status, "no longer valid" in replayed.text) == (400, True)
    assert "to act for you?" in log_in(visitor, page).text


def log_in_until_callback(visitor: Visitor, page: Shown) -> Shown:
    for _ in range(4):
        typed = {"login": "mallory", "password": "any"} if "login" in page.text else {}
        page = visitor.submit(page, until="/login/callback", **typed)
        if "/login/callback" in page.url:
            return page
    raise AssertionError(page.text)


@pytest.mark.parametrize(
    ("settings", "user", "status"),
    [
        ({"allow": {"email": ("*@Example.com",)}}, "ada", 200),
        ({"allow": {"email": ("*@example.com",), "groups": ("staff",)}}, "ada", 403),
        ({"allow": {"email": ("*@other.example",)}}, "ada", 403),
        ({"allow": {"email": ("*@example.com",)}, "userinfo": False}, "ada", 403),
        ({"subject_claim": "email", "subject_prefix": "corp:"}, "ada", 200),
        ({"subject_claim": "employee_number"}, "ada", 403),
    ],
)
def test_settings_decide_who_may_log_in(
    oidc_provider: OidcProvider,
    visitor: Visitor,
    settings: dict[str, Any],
    user: str,
    status: int,
) -> None:
    with issuer_of(login_at(oidc_provider, **settings)) as server:
        page = log_in(visitor, visitor.open(f"{server.url}/login"), user)
        assert page.status == status, page.text
        if "subject_claim" in settings and status == 200:
            found = server.store.run(lambda found: found.users.find("corp:ada@example.com"))
            assert found is not None
        if status == 403:
            assert "login=other" in page.links["Try again"]


def test_a_logout_continues_at_the_provider(oidc_provider: OidcProvider, visitor: Visitor) -> None:
    with issuer_of(login_at(oidc_provider, provider_logout=True)) as server:
        log_in(visitor, visitor.open(f"{server.url}/login"))
        page = visitor.submit(visitor.open(f"{server.url}/session/end"))
        assert page.url.startswith(f"{oidc_provider.issuer}/session/end")
        assert "You are logged in" not in visitor.open(f"{server.url}/").text
        page = visitor.submit(page, logout="yes")
        assert "You are logged out" in page.text
        assert page.url.startswith(f"{server.url}/session/ended")
        assert "/interaction/" in visitor.open(f"{server.url}/login").url


def test_a_wrong_client_secret_is_explained(
    oidc_provider: OidcProvider, visitor: Visitor, caplog: pytest.LogCaptureFixture
) -> None:
    login = OpenIDLogin(oidc_provider.issuer, "issuer", "wrong-secret")
    with issuer_of(login) as server:
        page = log_in(visitor, visitor.open(f"{server.url}/login"))
    assert (page.status, "rejected the login" in page.text) == (502, True)
    assert "invalid_client" in caplog.text
    assert "wrong-secret" not in caplog.text + page.text
