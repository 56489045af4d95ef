"""Devices belong to the user who approves them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plugins.issuer.conftest import Caller, Clock
from tests.plugins.issuer.login.conftest import issuer_with_login, log_in
from tests.plugins.issuer.login.visitor import Shown, Visitor

CONFIRM = "on a device?"


def confirm_page(visitor: Visitor, rfc: Caller, user: str = "ada") -> tuple[Shown, str]:
    """Start a device, open its link and log in; return the page and the device code."""
    started = rfc.start()
    page = log_in(visitor, visitor.open(started["verification_uri_complete"]), user)
    assert CONFIRM in page.text, page.text
    return page, started["device_code"]


def subject_of(rfc: Caller, device_code: str) -> str:
    token = rfc.poll(device_code).json()["access_token"]
    return str(rfc.as_rfc("/introspect", token=token).json()["sub"])


def test_the_link_of_a_device_leads_to_its_page_after_the_login(
    rfc: Caller, visitor: Visitor
) -> None:
    page, device_code = confirm_page(visitor, rfc)
    assert "Ada / ada@example.com" in page.text
    assert "Device connected" in visitor.submit(page, decision="approve").text
    assert subject_of(rfc, device_code) == "ada"


def test_the_code_does_not_stay_in_the_browser(rfc: Caller, visitor: Visitor) -> None:
    confirm_page(visitor, rfc)
    assert "Code shown on the device" in visitor.open(f"{rfc.url}/device").text


def test_the_database_has_no_user_code(clock: Clock, visitor: Visitor, tmp_path: Path) -> None:
    file = tmp_path / "issuer.sqlite3"
    with issuer_with_login(clock, database=file) as server, Caller(server.url) as rfc:
        code = rfc.register_rfc().start()["user_code"]
        visitor.open(f"{server.url}/device?user_code={code}")
    stored = file.read_bytes()
    assert b"return_to" in stored
    assert code.encode() not in stored
    assert code.replace("-", "").encode() not in stored


def test_a_logged_in_user_types_the_code(rfc: Caller, visitor: Visitor) -> None:
    page = log_in(visitor, visitor.open(f"{rfc.url}/device"))
    assert "You are logged in as Ada" in page.text
    started = rfc.start()
    page = visitor.submit(page, user_code=started["user_code"])
    visitor.submit(page, decision="approve")
    assert subject_of(rfc, started["device_code"]) == "ada"


def test_another_account_can_approve(rfc: Caller, visitor: Visitor) -> None:
    page, device_code = confirm_page(visitor, rfc)
    page = visitor.submit(page, decision="switch")
    assert "prompt=select_account" in page.text
    page = log_in(visitor, page, "bob")
    assert CONFIRM in page.text
    visitor.submit(page, decision="approve")
    assert subject_of(rfc, device_code) == "bob"


def test_the_form_for_a_code_lets_users_change_the_account(rfc: Caller, visitor: Visitor) -> None:
    page = log_in(visitor, visitor.open(f"{rfc.url}/device"))
    page = log_in(visitor, visitor.submit(page, decision="switch"), "bob")
    assert "You are logged in as Bob" in page.text


def test_a_page_of_another_session_cannot_approve(rfc: Caller, visitor: Visitor) -> None:
    """An attacker's page, or the page of the previous user, decides nothing."""
    page, device_code = confirm_page(visitor, rfc)
    with Visitor() as attacker:
        log_in(attacker, attacker.open(f"{rfc.url}/login"), "mallory")
        assert attacker.submit(page, decision="approve").status == 403
    log_in(visitor, visitor.submit(page, decision="switch"), "bob")
    assert visitor.submit(page, decision="approve").status == 403
    assert rfc.poll(device_code).json()["error"] == "authorization_pending"


@pytest.mark.parametrize("decision", ["approve", "deny"])
def test_an_ended_session_decides_nothing(
    rfc: Caller, visitor: Visitor, clock: Clock, decision: str
) -> None:
    page = log_in(visitor, visitor.open(f"{rfc.url}/device"))
    clock.tick(3500)
    started = rfc.start()
    page = visitor.submit(page, user_code=started["user_code"])
    clock.tick(50)
    visitor.http.get(f"{rfc.url}/session/end", timeout=10)
    end = visitor.open(f"{rfc.url}/session/end")
    old = visitor.http.cookies.copy()
    visitor.submit(end)
    visitor.http.cookies.clear()
    visitor.http.cookies.update(old)
    again = visitor.submit(page, decision=decision)
    assert "<h1>Log in</h1>" in again.text
    assert rfc.poll(started["device_code"]).json()["error"] == "authorization_pending"
    assert CONFIRM in log_in(visitor, again).text
