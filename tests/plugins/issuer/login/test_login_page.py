"""Logins on a page of a plugin, and the sessions that they create."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

import grantway
from grantway._exceptions import ConfigurationError, RegistryError
from grantway_plugins.issuer import (
    Identity,
    IssuerServer,
    IssuerSettings,
    LoginFailure,
    LoginRedirect,
    LoginRequest,
    PluginLogin,
    SessionSettings,
    View,
)
from grantway_plugins.issuer._pages import login_page
from tests.plugins.issuer.conftest import Caller, Clock
from tests.plugins.issuer.login.conftest import (
    PASSWORD,
    PasswordLogin,
    consent_page,
    issuer_with_login,
    log_in,
    registry,
)
from tests.plugins.issuer.login.visitor import Shown, Visitor
from tests.waiting import PATIENCE


def tokens_of(rfc: Caller, redirect: Shown) -> dict[str, Any]:
    response = rfc.redeem(redirect.query["code"])
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def subject_of(rfc: Caller, token: str) -> str:
    return str(rfc.as_rfc("/introspect", token=token).json()["sub"])


def test_a_user_logs_in_and_allows_the_request(rfc: Caller, visitor: Visitor) -> None:
    page = consent_page(visitor, rfc)
    assert "Ada / ada@example.com" in page.text
    redirect = visitor.submit(page, decision="approve")
    assert redirect.query["state"] == "xyz"
    assert subject_of(rfc, tokens_of(rfc, redirect)["access_token"]) == "ada"


def test_a_logged_in_user_is_only_asked_for_consent(rfc: Caller, visitor: Visitor) -> None:
    consent_page(visitor, rfc)
    assert "to act for you?" in visitor.open(rfc.authorize_url()).text


def test_two_browsers_have_two_users(rfc: Caller, visitor: Visitor) -> None:
    with Visitor() as other:
        pages = [consent_page(visitor, rfc, "ada"), consent_page(other, rfc, "bob")]
        redirects = [
            each.submit(page, decision="approve")
            for each, page in zip((visitor, other), pages, strict=True)
        ]
    subjects = [subject_of(rfc, tokens_of(rfc, each)["access_token"]) for each in redirects]
    assert subjects == ["ada", "bob"]


def test_a_wrong_password_shows_the_form_again(rfc: Caller, visitor: Visitor) -> None:
    page = log_in(visitor, visitor.open(rfc.authorize_url()), password="wrong")
    assert (page.status, "Wrong name or password." in page.text) == (400, True)
    assert "to act for you?" in log_in(visitor, page).text


def test_passwords_cannot_be_guessed_quickly(rfc: Caller, visitor: Visitor, clock: Clock) -> None:
    page = visitor.open(rfc.authorize_url())
    for _ in range(5):
        assert log_in(visitor, page, password="wrong").status == 400
    blocked = log_in(visitor, page)
    assert (blocked.status, "Too many attempts" in blocked.text) == (429, True)
    clock.tick(13)
    assert "to act for you?" in log_in(visitor, page).text


def test_one_network_cannot_fill_the_database(
    clock: Clock, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login_page, "MOST_BEGUN", 2)
    with issuer_with_login(clock) as server:
        statuses = [visitor.open(f"{server.url}/login").status for _ in range(3)]
    assert statuses == [200, 200, 429]


def test_a_failed_login_offers_another_account(
    rfc: Caller, visitor: Visitor, caplog: pytest.LogCaptureFixture
) -> None:
    page = log_in(visitor, visitor.open(rfc.authorize_url()), "banned")
    assert (page.status, "This account is closed." in page.text) == (403, True)
    again = visitor.open(page.links["Try again"])
    assert "prompt=select_account" in again.text
    assert "to act for you?" in log_in(visitor, again).text
    assert "A login with password failed: banned" in caplog.text


def test_an_exception_of_the_plugin_is_not_shown(
    rfc: Caller, visitor: Visitor, caplog: pytest.LogCaptureFixture
) -> None:
    page = log_in(visitor, visitor.open(rfc.authorize_url()), "broken")
    assert page.status == 500
    assert "a secret" not in page.text + caplog.text
    assert "raised RuntimeError at conftest.py" in caplog.text
    assert "to act for you?" in log_in(visitor, visitor.open(page.links["Try again"])).text


def test_a_login_changes_the_cookie(rfc: Caller, visitor: Visitor) -> None:
    """A cookie that an attacker planted before the login is worthless (session fixation)."""
    page = visitor.open(rfc.authorize_url())
    planted = visitor.http.cookies.copy()
    consent = log_in(visitor, page)
    assert visitor.http.cookies.get_dict() != planted.get_dict()
    with Visitor() as attacker:
        attacker.http.cookies.update(planted)
        assert "<h1>Log in</h1>" in attacker.open(rfc.authorize_url()).text
        forged = Shown(consent.url, text=consent.text)
        assert attacker.submit(forged, decision="approve").status == 403


def test_a_form_of_another_browser_is_rejected(rfc: Caller, visitor: Visitor) -> None:
    """An attacker cannot log a victim in as the attacker (login CSRF)."""
    with Visitor() as attacker:
        page = attacker.open(rfc.authorize_url())
        visitor.open(rfc.authorize_url())
        assert visitor.submit(page, user="mallory", password="correct horse").status == 403


def test_a_login_is_finished_once(rfc: Caller, visitor: Visitor) -> None:
    page = visitor.open(rfc.authorize_url())
    old = visitor.http.cookies.copy()
    log_in(visitor, page)
    visitor.http.cookies.clear()
    visitor.http.cookies.update(old)
    again = log_in(visitor, page)
    assert (again.status, "no longer valid" in again.text) == (400, True)


def test_a_login_must_be_finished_in_time(rfc: Caller, visitor: Visitor, clock: Clock) -> None:
    page = visitor.open(rfc.authorize_url())
    clock.tick(1801)
    late = log_in(visitor, page)
    assert (late.status, "took too long" in late.text) == (400, True)
    assert "to act for you?" in log_in(visitor, visitor.open(late.links["Try again"])).text


def test_a_session_ends_without_use(rfc: Caller, visitor: Visitor, clock: Clock) -> None:
    page = consent_page(visitor, rfc)
    for _ in range(3):
        clock.tick(3000)
        page = visitor.open(rfc.authorize_url())
        assert "to act for you?" in page.text
    clock.tick(3601)
    assert "<h1>Log in</h1>" in visitor.submit(page, decision="approve").text


def test_a_session_ends_after_its_lifetime(rfc: Caller, visitor: Visitor, clock: Clock) -> None:
    consent_page(visitor, rfc)
    for _ in range(14):
        clock.tick(3000)
        assert "to act for you?" in visitor.open(rfc.authorize_url()).text
    clock.tick(3000)
    assert "<h1>Log in</h1>" in visitor.open(rfc.authorize_url()).text


def test_users_can_change_the_account(rfc: Caller, visitor: Visitor) -> None:
    page = visitor.submit(consent_page(visitor, rfc), decision="switch")
    assert "prompt=select_account" in page.text
    page = log_in(visitor, page, "bob")
    assert "Bob / bob@example.com" in page.text
    assert visitor.submit(page, decision="approve").query["state"] == "xyz"


def test_the_start_page_shows_the_user(server: IssuerServer, visitor: Visitor) -> None:
    start = visitor.open(f"{server.url}/")
    start = log_in(visitor, visitor.open(start.links["Log in"]))
    assert "You are logged in as <strong>Ada / ada@example.com</strong>" in start.text
    assert visitor.open(f"{server.url}/login").url.endswith("/")


def test_logins_are_in_the_audit_log(
    server: IssuerServer, visitor: Visitor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "grantway.audit")
    log_in(visitor, visitor.open(f"{server.url}/login"), password="wrong")
    log_in(visitor, visitor.open(f"{server.url}/login"), "banned")
    log_in(visitor, visitor.open(f"{server.url}/login"))
    events = [each.getMessage() for each in caplog.records if each.name == "grantway.audit"]
    assert ["login_failure" in events[0], "user_login" in events[1]] == [True, True]
    assert "subject=ada" in events[1]
    assert "correct horse" not in caplog.text


def test_the_claims_of_users_are_stored(server: IssuerServer, visitor: Visitor) -> None:
    log_in(visitor, visitor.open(f"{server.url}/login"))
    user = server.store.run(lambda found: found.users.find("ada"))
    assert user is not None
    assert user.claims == {
        "name": "Ada",
        "email": "ada@example.com",
        "email_verified": True,
    }


def test_a_user_has_a_limited_number_of_sessions(clock: Clock, visitor: Visitor) -> None:
    with issuer_with_login(clock, sessions=SessionSettings(per_user=1)) as server:
        log_in(visitor, visitor.open(f"{server.url}/login"))
        with Visitor() as other:
            log_in(other, other.open(f"{server.url}/login"))
            assert "You are logged in" in other.open(f"{server.url}/").text
        assert "You are logged in" not in visitor.open(f"{server.url}/").text


def test_the_metadata_lists_what_logins_add(server: IssuerServer, visitor: Visitor) -> None:
    content = visitor.http.get(f"{server.url}/.well-known/oauth-authorization-server").json()
    assert content["end_session_endpoint"] == f"{server.url}/session/end"
    assert set(content["prompt_values_supported"]) == {
        "none",
        "login",
        "consent",
        "select_account",
    }
    with IssuerServer() as plain:
        content = visitor.http.get(f"{plain.url}/.well-known/oauth-authorization-server").json()
        assert not {"end_session_endpoint", "prompt_values_supported"} & set(content)
        assert visitor.open(f"{plain.url}/login").status == 404
        assert visitor.open(f"{plain.url}/session/end").status == 404


def test_an_unknown_login_stops_the_issuer() -> None:
    settings = IssuerSettings(login=PluginLogin("unknown"))
    with pytest.raises(ConfigurationError, match="'unknown' is not registered; use password"):
        IssuerServer(settings, registry=registry())


def test_an_option_that_the_login_does_not_have() -> None:
    settings = IssuerSettings(login=PluginLogin("password", {"secret": "hidden"}))
    with pytest.raises(ConfigurationError) as raised:
        IssuerServer(settings, registry=registry())
    assert "has no option secret" in str(raised.value)
    assert "hidden" not in str(raised.value)


@pytest.mark.parametrize(
    ("made", "problem"),
    [
        (object(), "has no method begin"),
        (None, "is None"),
        (type("Half", (), {"begin": PasswordLogin.begin})(), "has no method finish"),
    ],
)
def test_an_object_that_is_no_login(made: object, problem: str) -> None:
    class Broken:
        @grantway.hookimpl
        def grantway_register_issuer_logins(self) -> dict[str, Any]:
            return {"broken": lambda: made}

    settings = IssuerSettings(login=PluginLogin("broken"))
    with pytest.raises(ConfigurationError, match=problem):
        IssuerServer(settings, registry=grantway.build_registry({"broken": Broken()}))


def test_an_asynchronous_login_is_rejected() -> None:
    class Later:
        async def begin(self, request: LoginRequest) -> Identity:
            return Identity("ada")

        async def finish(self, request: LoginRequest) -> Identity:
            return Identity("ada")

    class Broken:
        @grantway.hookimpl
        def grantway_register_issuer_logins(self) -> dict[str, Any]:
            return {"later": Later}

    settings = IssuerSettings(login=PluginLogin("later"))
    with pytest.raises(ConfigurationError, match="asynchronous method begin"):
        IssuerServer(settings, registry=grantway.build_registry({"later": Broken()}))


def test_a_factory_must_be_callable() -> None:
    class Broken:
        @grantway.hookimpl
        def grantway_register_issuer_logins(self) -> dict[str, Any]:
            return {"broken": 5}

    with pytest.raises(RegistryError, match="issuer login"):
        grantway.build_registry({"broken": Broken()}, strict=True)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: Identity(""), "subject"),
        (lambda: Identity("a" * 256), "subject"),
        (lambda: Identity("a\n"), "subject"),
        (lambda: Identity("a", {"name": object()}), "claims"),
        (lambda: Identity("a", {"name": "b" * 20_000}), "claims"),
        (lambda: Identity("a", auth_time=float("nan")), "auth_time"),
        (lambda: LoginRedirect("javascript:alert(1)"), "url"),
        (lambda: LoginRedirect("/login"), "url"),
        (lambda: LoginFailure("No.", status=200), "status"),
    ],
)
def test_outcomes_are_validated(make: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        make()


def test_a_broken_template_of_a_login_is_reported(
    clock: Clock, visitor: Visitor, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(PasswordLogin):
        def begin(self, request: LoginRequest) -> View:
            return View("Log in", "{{ missing }}")

    class Plugin:
        @grantway.hookimpl
        def grantway_register_issuer_logins(self) -> dict[str, Any]:
            return {"broken": Broken}

    settings = IssuerSettings(login=PluginLogin("broken"))
    registered = grantway.build_registry({"broken": Plugin()})
    with IssuerServer(settings, registry=registered, clock=clock) as server:
        page = visitor.open(f"{server.url}/login")
    assert (page.status, "The login of this site failed" in page.text) == (500, True)
    assert "it raised UndefinedError" in caplog.text


def test_a_login_can_be_named_by_reference(clock: Clock, visitor: Visitor) -> None:
    class Plugin:
        @grantway.hookimpl
        def grantway_register_issuer_logins(self) -> dict[str, Any]:
            return {"named": "tests.plugins.issuer.login.conftest:PasswordLogin"}

    settings = IssuerSettings(login=PluginLogin("named", {"title": "Welcome"}))
    registered = grantway.build_registry({"named": Plugin()}, strict=True)
    with IssuerServer(settings, registry=registered, clock=clock) as server:
        assert "<h1>Welcome</h1>" in visitor.open(f"{server.url}/login").text


def test_many_requests_finish_one_login(rfc: Caller, visitor: Visitor) -> None:
    page = visitor.open(rfc.authorize_url())
    cookies, form = visitor.http.cookies.get_dict(), {**page.fields, "user": "ada"}

    def send(_number: int) -> int:
        response = requests.post(
            page.action,
            data={**form, "password": PASSWORD},
            cookies=cookies,
            allow_redirects=False,
            timeout=PATIENCE,
        )
        return response.status_code

    with ThreadPoolExecutor(4) as threads:
        statuses = sorted(threads.map(send, range(4)))
    assert statuses == [303, 400, 400, 400]
