"""The ``Host`` header and DNS rebinding."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from grantway_plugins.issuer import IssuerServer, IssuerSettings
from grantway_plugins.server._http.host_name import is_own_host
from tests.plugins.issuer.conftest import Caller

STRANGER = {"host": "pictures.example:8400"}


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:8400",
        "[::1]:8400",
        "localhost:8400",
        "issuer.localhost",
        "192.0.2.7:8400",
        "login.example.com",
        "LOGIN.example.com:443",
    ],
)
def test_accepts_its_own_host_names(host: str) -> None:
    assert is_own_host(host, "https://login.example.com")


@pytest.mark.parametrize(
    "host",
    [
        "",
        "pictures.example",
        "pictures.example:8400",
        "127.0.0.1.pictures.example",
        "login.example.com.pictures.example",
        "localhost.pictures.example",
        "127.0.0.1@pictures.example",
        "[::1",
    ],
)
def test_rejects_other_host_names(host: str) -> None:
    assert not is_own_host(host, "https://login.example.com")


@pytest.mark.parametrize("path", ["/", "/device", "/device?user_code=BCDF-GHJK", "/authorize"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_browser_with_a_foreign_host_name_gets_a_link_to_the_issuer(
    caller: Caller, path: str, method: str
) -> None:
    response = caller.http.request(method, caller.url + path, headers=STRANGER)
    assert response.status_code == 421
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert f'href="{caller.url}/"' in response.text
    assert "csrf" not in response.text
    assert "<form" not in response.text
    assert "set-cookie" not in response.headers


def test_serves_the_stylesheet_for_any_host_name(caller: Caller) -> None:
    response = caller.http.get(f"{caller.url}/static/issuer.css", headers=STRANGER)
    assert (response.status_code, response.headers["content-type"]) == (
        200,
        "text/css; charset=utf-8",
    )


def test_programs_get_a_json_error_for_a_foreign_host_name_with_automatic_approval() -> None:
    with IssuerServer(IssuerSettings(approve="auto")) as server, Caller(server.url) as caller:
        response = caller.http.post(f"{server.url}/token", data={}, headers=STRANGER)
        assert (response.status_code, response.json()["error"]) == (421, "invalid_request")
        page = caller.http.get(f"{server.url}/device", headers=STRANGER)
        assert page.headers["content-type"] == "text/html; charset=utf-8"


def test_rejects_a_decision_with_a_foreign_host_name(rfc: Caller) -> None:
    started = rfc.start()
    form = {"user_code": started["user_code"], "decision": "approve", "csrf": "x"}
    response = rfc.http.post(f"{rfc.url}/device", data=form, headers=STRANGER)
    assert response.status_code == 421
    assert rfc.poll(started["device_code"]).json()["error"] == "authorization_pending"


def test_programs_may_use_any_host_name(caller: Caller) -> None:
    members = {"clientName": "A tool", "clientType": "public"}
    response = caller.http.post(f"{caller.url}/client/register", json=members, headers=STRANGER)
    assert response.status_code == 200


def test_rejects_foreign_host_names_with_automatic_approval() -> None:
    with IssuerServer(IssuerSettings(approve="auto")) as server, Caller(server.url) as caller:
        members = {"clientName": "A tool", "clientType": "public"}
        response = caller.http.post(f"{server.url}/client/register", json=members, headers=STRANGER)
        assert (response.status_code, response.json()["error"]) == (421, "invalid_request")
        port = urlsplit(server.url).port
        known = caller.http.get(f"{server.url}/health", headers={"host": f"localhost:{port}"})
        assert known.status_code == 200
