"""Programs list, connect and disconnect their user's accounts with JSON."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from grantway_plugins.gateway._config import ConfigFile
from grantway_plugins.gateway._connections._records.memory import MemoryRecords
from grantway_plugins.gateway._connections.connecting import ConnectError, Connecting
from grantway_plugins.gateway._connections.user import User
from grantway_plugins.gateway._running.building import build_runtime
from tests.plugins.gateway.connections.site import Site, connect, log_in, running_site, submit
from tests.plugins.gateway.connections.test_configuration import GOOD
from tests.plugins.issuer.login.visitor import Visitor
from tests.waiting import until

DEVICE = """
[providers.tv]
issuer = "SHOP"
CLIENT
[connections.providers.tv]
name = "Television"
grant = "device_code"
scope = ["orders"]
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(
        tmp_path_factory.mktemp("site"),
        more=DEVICE + '[authorize]\nlisten = "127.0.0.1:0"\n',
    ) as running:
        yield running


@pytest.fixture(scope="module")
def ann(site: Site) -> str:
    return site.token("ann")


def listed(site: Site, token: str) -> dict[str, Any]:
    response = site.call("GET", "/connect", token)
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    return {each["provider"]: each for each in response.json()["connections"]}


@pytest.mark.slow
def test_lists_connects_and_disconnects(site: Site, ann: str) -> None:
    assert listed(site, ann)["shop"] == {
        "provider": "shop",
        "title": "Shop",
        "state": "none",
        "scope": [],
        "missing_scope": [],
        "connect_url": site.page(),
    }
    begun = site.call("POST", "/connect/shop", ann)
    assert begun.json() == {"provider": "shop", "connect_url": site.page()}
    with site.logged_in("ann") as visitor:
        connect(visitor, site, "ann.at.shop")
    shown = site.call("GET", "/connect/shop", ann).json()
    assert (shown["state"], shown["account"]) == ("connected", "ann.at.shop")
    assert time.time() - shown["connected_at"] < 60
    removed = site.call("DELETE", "/connect/shop", ann)
    assert (removed.status_code, removed.json()) == (200, {"provider": "shop", "revoked": True})
    again = site.call("DELETE", "/connect/shop", ann)
    assert (again.status_code, again.json()["error"]) == (404, "not_connected")


@pytest.mark.slow
def test_connects_with_a_code(site: Site, ann: str) -> None:
    begun = site.call("POST", "/connect/tv", ann).json()
    assert "device_code" not in begun
    assert begun["expires_in"] > 0
    with Visitor() as visitor:
        page = log_in(visitor, visitor.open(begun["verification_uri_complete"]), "ann.at.shop")
        visitor.submit(page, decision="approve")
    until(lambda: listed(site, ann)["tv"]["state"], lambda state: state == "connected")
    assert site.call("DELETE", "/connect/tv", ann).status_code == 200


@pytest.mark.slow
def test_shows_the_code_on_a_page(site: Site) -> None:
    with site.logged_in("ben") as visitor:
        page = submit(visitor, visitor.open(site.page("tv")), "/connect/tv")
        assert '<meta http-equiv="refresh"' in page.text
        address = next(to for to in page.links.values() if to.startswith(site.shop.url))
        with Visitor() as other:
            shown = log_in(other, other.open(address), "ben.at.shop")
            other.submit(shown, decision="deny")
        denied = until(
            lambda: visitor.open(site.page("tv")).text, lambda text: "was denied" in text
        )
        assert "http-equiv" not in denied


@pytest.mark.slow
def test_callers_without_token_are_rejected(site: Site, ann: str) -> None:
    accept = {"Accept": "application/json"}
    for method, path in (
        ("GET", "/connect"),
        ("GET", "/connect/shop"),
        ("POST", "/connect/shop"),
        ("DELETE", "/connect/shop"),
    ):
        for token in ("", "invalid"):
            response = site.call(method, path, token, headers=accept)
            assert response.status_code == 401
            assert "resource_metadata" in response.headers["www-authenticate"]
    with site.logged_in("ann") as visitor:  # a session does not authenticate programs
        cookies = visitor.http.cookies
        response = site.call("DELETE", "/connect/shop", headers=accept, cookies=cookies)
    assert response.status_code == 401
    unknown = site.call("GET", "/connect/nowhere", ann)
    assert (unknown.status_code, unknown.json()["error"]) == (404, "unknown_provider")
    wrong = site.call("PUT", "/connect/shop", ann)
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, HEAD, POST, DELETE")


@pytest.mark.slow
def test_other_proxies_get_the_page_to_connect(site: Site, ann: str) -> None:
    headers = {
        "Authorization": f"Bearer {ann}",
        "X-Original-URI": "/orders",
        "X-Forwarded-Host": "127.0.0.1",
        "X-Forwarded-Uri": "/orders",
    }
    for path in ("/nginx", "/forward-auth", "/envoy/orders"):
        response = requests.get(f"{site.gateway.authorize}{path}", headers=headers, timeout=30)
        assert response.status_code == 403
        assert response.headers["connect-url"] == site.page()
        assert response.json()["error"] == "connection_required"


@pytest.mark.slow
def test_two_gateways_on_a_host_have_own_sessions(site: Site, tmp_path: Path) -> None:
    with running_site(tmp_path) as second, site.logged_in("ann") as visitor:
        log_in(visitor, visitor.open(f"{second.url}/connect"), "ben")
        assert "Ben" in visitor.open(f"{second.url}/connect").text
        assert "Ann" in visitor.open(f"{site.url}/connect").text


def test_abandoned_logins_do_not_pile_up(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(GOOD)
    runtime = build_runtime(ConfigFile(path))
    connections = runtime.connections
    assert connections is not None
    assert isinstance(connections.records, MemoryRecords)
    connecting = Connecting(connections)
    at, user = connections.providers["github"], User("https://login.example.com", "ann")

    async def start() -> None:
        for number in range(10_000):
            await connecting.begin(f"session {number % 7}", user, at)

    asyncio.run(start())
    assert len(connections.records._values) == 7
    runtime.components.close()


def test_a_provider_that_is_down_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    pushed = 'pushed_authorization_request_endpoint = "http://127.0.0.1:1/par"\n'
    path.write_text(GOOD.replace("[providers.github]\n", f"[providers.github]\n{pushed}"))
    runtime = build_runtime(ConfigFile(path))
    connections = runtime.connections
    assert connections is not None
    user = User("https://login.example.com", "ann")
    with pytest.raises(ConnectError, match="GitHub cannot be reached at the moment"):
        asyncio.run(Connecting(connections).begin("s", user, connections.providers["github"]))
    runtime.components.close()
