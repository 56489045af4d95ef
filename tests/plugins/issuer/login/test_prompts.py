"""``prompt``, ``max_age`` and ``login_hint`` (OpenID Connect Core section 3.1.2.1)."""

from __future__ import annotations

import pytest

from grantway_plugins.issuer import IssuerServer, IssuerSettings
from tests.plugins.issuer.conftest import CALLBACK, Caller, Clock
from tests.plugins.issuer.login.conftest import consent_page, issuer_with_login, log_in
from tests.plugins.issuer.login.visitor import Visitor

LOGIN = "<h1>Log in</h1>"


def test_prompt_none_without_a_login(rfc: Caller, visitor: Visitor) -> None:
    answer = visitor.open(rfc.authorize_url(prompt="none"))
    assert answer.url.startswith(CALLBACK)
    assert (answer.query["error"], answer.query["state"]) == ("login_required", "xyz")


def test_prompt_none_without_consent(rfc: Caller, visitor: Visitor) -> None:
    consent_page(visitor, rfc)
    assert visitor.open(rfc.authorize_url(prompt="none")).query["error"] == "consent_required"


def test_prompt_login_asks_again_once(rfc: Caller, visitor: Visitor) -> None:
    consent_page(visitor, rfc)
    page = visitor.open(rfc.authorize_url(prompt="login"))
    assert "prompt=login" in page.text
    page = log_in(visitor, page)
    assert "to act for you?" in page.text
    assert visitor.submit(page, decision="approve").query["state"] == "xyz"


def test_a_link_with_prompt_login_asks_again_each_time(rfc: Caller, visitor: Visitor) -> None:
    """Whoever opens the history of the browser must log in too."""
    page = log_in(visitor, visitor.open(rfc.authorize_url(prompt="login")))
    visitor.submit(page, decision="approve")
    assert LOGIN in visitor.open(page.url).text


def test_the_marker_of_another_login_proves_nothing(rfc: Caller, visitor: Visitor) -> None:
    page = log_in(visitor, visitor.open(rfc.authorize_url(prompt="login")))
    with Visitor() as other:
        consent_page(other, rfc, "bob")
        assert LOGIN in other.open(page.url).text
    forged = rfc.authorize_url(prompt="login") + "&login=" + "a" * 43
    assert LOGIN in visitor.open(forged).text


def test_a_decision_needs_the_login_that_the_request_demands(rfc: Caller, visitor: Visitor) -> None:
    consent_page(visitor, rfc)
    page = visitor.open(rfc.authorize_url())
    assert LOGIN in visitor.submit(page, decision="approve", prompt="login").text


def test_select_account_lets_the_user_choose(rfc: Caller, visitor: Visitor) -> None:
    consent_page(visitor, rfc)
    page = visitor.open(rfc.authorize_url(prompt="select_account"))
    assert "prompt=select_account" in page.text
    assert "Bob" in log_in(visitor, page, "bob").text


def test_max_age_asks_again_if_the_login_is_old(
    rfc: Caller, visitor: Visitor, clock: Clock
) -> None:
    consent_page(visitor, rfc)
    clock.tick(100)
    assert "to act for you?" in visitor.open(rfc.authorize_url(max_age="100")).text
    clock.tick(1)
    silent = visitor.open(rfc.authorize_url(max_age="100", prompt="none"))
    assert silent.query["error"] == "login_required"
    page = visitor.open(rfc.authorize_url(max_age="100"))
    assert "prompt=login max_age=100.0" in page.text
    assert "to act for you?" in log_in(visitor, page).text


def test_max_age_0_asks_each_time(rfc: Caller, visitor: Visitor, clock: Clock) -> None:
    consent_page(visitor, rfc)
    clock.tick(1)
    page = log_in(visitor, visitor.open(rfc.authorize_url(max_age="0")))
    clock.tick(5)
    assert visitor.submit(page, decision="approve").query["state"] == "xyz"


def test_the_login_hint_is_passed_on(rfc: Caller, visitor: Visitor) -> None:
    assert "hint=ada@x.org" in visitor.open(rfc.authorize_url(login_hint="ada@x.org")).text


@pytest.mark.parametrize(
    "params",
    [
        {"prompt": "none login"},
        {"prompt": "create"},
        {"prompt": "login,consent"},
        {"max_age": "-1"},
        {"max_age": "1.5"},
        {"max_age": "٣"},
        {"max_age": "9" * 11},
        {"login_hint": "a" * 1025},
        {"login_hint": "a\nb"},
    ],
)
def test_invalid_parameters_are_rejected(
    rfc: Caller, visitor: Visitor, params: dict[str, str]
) -> None:
    answer = visitor.open(rfc.authorize_url(**params))
    assert answer.query["error"] == "invalid_request"
    assert next(iter(params)) in answer.query["error_description"]


@pytest.mark.parametrize("name", ["prompt", "max_age", "login_hint"])
def test_repeated_parameters_are_rejected(rfc: Caller, visitor: Visitor, name: str) -> None:
    answer = visitor.open(f"{rfc.authorize_url(**{name: '1'})}&{name}=2")
    assert answer.query["error_description"] == f"Duplicate parameter: {name}"


def test_a_local_user_ignores_them(clock: Clock, visitor: Visitor) -> None:
    settings = IssuerSettings(registration="unrestricted")
    with IssuerServer(settings, clock=clock) as server, Caller(server.url) as rfc:
        rfc.register_rfc()
        for params in ({"max_age": "x"}, {"prompt": "login create"}, {"login_hint": "a"}):
            assert "local-user" in visitor.open(rfc.authorize_url(**params)).text
        assert visitor.open(rfc.authorize_url(prompt="none")).query["error"] == "consent_required"


def test_automatic_approval_needs_a_login(clock: Clock, visitor: Visitor) -> None:
    with issuer_with_login(clock, approve="auto") as server, Caller(server.url) as rfc:
        rfc.register_rfc()
        assert visitor.open(rfc.authorize_url(prompt="none")).query["error"] == "login_required"
        assert "code" in log_in(visitor, visitor.open(rfc.authorize_url())).query
        assert "code" in visitor.open(rfc.authorize_url(prompt="none")).query
