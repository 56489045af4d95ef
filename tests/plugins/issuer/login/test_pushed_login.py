"""Pushed authorization requests of users that log in."""

from __future__ import annotations

from urllib.parse import urlencode

from tests.plugins.issuer.conftest import CALLBACK, CHALLENGE, Caller
from tests.plugins.issuer.login.conftest import log_in
from tests.plugins.issuer.login.visitor import Visitor


def pushed(rfc: Caller, **params: str) -> str:
    """Push a request and return the address for the browser."""
    asked = {
        "response_type": "code",
        "redirect_uri": CALLBACK,
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    response = rfc.as_rfc("/par", **{**asked, **params})
    assert response.status_code == 201, response.text
    query = {"client_id": rfc.id, "request_uri": response.json()["request_uri"]}
    return f"{rfc.url}/authorize?{urlencode(query)}"


def test_a_user_logs_in_and_allows_a_pushed_request(rfc: Caller, visitor: Visitor) -> None:
    address = pushed(rfc, login_hint="ada@example.com")
    page = visitor.open(address)
    assert "hint=ada@example.com" in page.text
    consent = log_in(visitor, page)
    assert "to act for you?" in consent.text
    redirect = visitor.submit(consent, decision="approve")
    assert rfc.redeem(redirect.query["code"]).status_code == 200
    assert "was used already" in visitor.open(address).text


def test_a_silent_request_is_used_up_by_its_error(rfc: Caller, visitor: Visitor) -> None:
    address = pushed(rfc, prompt="none")
    assert visitor.open(address).query["error"] == "login_required"
    assert "was used already" in visitor.open(address).text


def test_the_page_that_a_user_opens_again_stays_valid(rfc: Caller, visitor: Visitor) -> None:
    address = pushed(rfc)
    log_in(visitor, visitor.open(address))
    for _ in range(2):
        page = visitor.open(address)
        assert "to act for you?" in page.text
    assert "code" in visitor.submit(page, decision="approve").query
