"""Web pages cannot use a gateway on their visitor's machine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from grantway_plugins.gateway import hash_secret
from grantway_plugins.gateway._config.tables import GatewayTable
from grantway_plugins.gateway._running.browser_rule import BrowserRule
from grantway_plugins.gateway.upstream import RequestRejectedError, from_host
from grantway_plugins.issuer import IssuerServer
from tests.plugins.gateway.running.conftest import Backends, make_backends
from tests.plugins.gateway.running.programs import PATIENCE, EchoUpstream, GatewayProcess, gateway

ACME = {"X-Tenant": "acme"}
SECRET = "shop-very-secret-0123456789"


@pytest.fixture(scope="module")
def shared(
    issuer: IssuerServer,
    echo_server: tuple[EchoUpstream, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[GatewayProcess]:
    backends = make_backends(issuer, echo_server, tmp_path_factory.mktemp("guarded"))
    config = backends.write(
        '[gateway]\nlisten = "127.0.0.1:0"\nadmin = "127.0.0.1:0"\n'
        'hosts = ["tools.test", "*.below.test"]\norigins = ["https://app.test"]\n'
        + backends.provider()
        + backends.route(path='"/"')
        + backends.route("named", host='"named.test"')
        + backends.route("tenants", host='"shared.test"', tenant='"host:tenants.test"')
        + '[token_endpoint]\nprovider = "idp"\nallow = ["client_credentials"]\n'
        f'clients = {{shop = "{hash_secret(SECRET)}"}}\n'
    )
    with gateway(config) as running:
        yield running


@pytest.fixture
def run(shared: GatewayProcess, backends: Backends) -> GatewayProcess:
    """Share a gateway; the echo behind it has seen nothing yet."""
    return shared


def send(run: GatewayProcess, method: str = "GET", path: str = "/", **headers: str) -> int:
    """Return the status that a browser would get."""
    response = requests.request(
        method, f"{run.url}{path}", headers={**ACME, **headers}, timeout=PATIENCE
    )
    return response.status_code


def test_rejects_dns_rebinding(run: GatewayProcess, backends: Backends) -> None:
    port = run.url.rpartition(":")[2]
    for host in ("evil.com", f"evil.com:{port}", "localhost.evil.com", "127.0.0.1.evil.com",
                 "evil.tools.test", "xbelow.test", "192.0.2.1", "0x7f.1"):  # fmt: skip
        assert send(run, Host=host) == 403, host
        assert send(run, "POST", "/token", Host=host) == 403, host
    for host in ("a b", "evil.com@127.0.0.1", "evil.com,localhost"):
        assert send(run, Host=host) == 400, host
    assert backends.echo.requests == []


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:1", "127.0.0.1", "127.0.0.9:80", "[::1]:80", "app.localhost",
     "tools.test", "a.below.test", "named.test:8443", "shared.test", "acme.tenants.test"],
)  # fmt: skip
def test_accepts_the_gateways_own_names(run: GatewayProcess, host: str) -> None:
    assert send(run, Host=host) == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.com"},
        {"Origin": "null"},
        {"Origin": "http://192.0.2.1"},
        {"Origin": "http://localhost.evil.com"},
        {"Origin": "https://app.test.evil.com"},
        {"Origin": "https://app.test:8443"},
        {"Origin": "http://[::1"},
        {"Origin": "http://evil.com\\@localhost"},
        {"Origin": "http://evil.com@localhost"},
        {"Origin": "//localhost"},
        {"Origin": "localhost"},
        {"Origin": "http://localhost/evil"},
        {"Origin": "https://evil.com", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
        {"Sec-Fetch-Site": "CROSS-SITE"},
        {"Sec-Fetch-Site": "none, cross-site"},
        {"Sec-Fetch-Site": "a-site-of-tomorrow"},
        {"Sec-Fetch-Site": "same-site", "Host": "tools.test"},
    ],
)
def test_rejects_requests_from_other_sites(
    run: GatewayProcess, backends: Backends, headers: dict[str, str]
) -> None:
    for method in ("GET", "POST", "OPTIONS"):
        assert send(run, method, **headers) == 403
    assert send(run, "POST", "/token", **headers) == 403
    assert backends.echo.requests == []


def test_rejects_a_websocket_from_another_site(run: GatewayProcess, backends: Backends) -> None:
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    assert send(run, Origin="https://evil.com", **upgrade) == 403
    assert backends.echo.requests == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://localhost:3000", "Sec-Fetch-Site": "same-site"},
        {"Origin": "http://[::1]:3000"},
        {"Origin": "https://app.test", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "https://tools.test", "Host": "tools.test"},
    ],
)
def test_accepts_programs_and_local_pages(run: GatewayProcess, headers: dict[str, str]) -> None:
    assert send(run, "POST", **headers) == 200


def test_a_rejection_names_the_setting(run: GatewayProcess) -> None:
    named = requests.get(run.url, headers={**ACME, "Host": "evil.com"}, timeout=PATIENCE)
    assert "hosts in [gateway]" in named.json()["error_description"]
    page = requests.get(run.url, headers={**ACME, "Origin": "https://evil.com"}, timeout=PATIENCE)
    assert "origins in [gateway]" in page.json()["error_description"]


# --- Listen addresses -----------------------------------------------------------------------------


def get_status(table: dict[str, Any], *headers: tuple[bytes, bytes]) -> int:
    """Return the status of the rejection, or 200."""
    rule = BrowserRule(GatewayTable().load(table), {"r": {"tenant": from_host("t.test")}})
    try:
        rule.check(headers)
    except RequestRejectedError as error:
        return error.status
    return 200


EVIL = (b"host", b"evil.com")
PAGE = (b"origin", b"https://evil.com")


@pytest.mark.parametrize("listen", ["0.0.0.0:1", "[::]:1", "10.0.0.1:1"])
def test_other_addresses_accept_any_name_unless_hosts_is_set(listen: str) -> None:
    assert get_status({"listen": listen}, EVIL, PAGE) == 200
    assert get_status({"listen": listen, "hosts": ["api.test"]}, EVIL) == 403
    assert (
        get_status({"listen": listen, "hosts": ["api.test"]}, (b"host", b"api.test"), PAGE) == 200
    )
    assert get_status({"listen": listen, "origins": ["https://app.test"]}, PAGE) == 403


@pytest.mark.parametrize("listen", ["127.0.0.1:1", "localhost:1", "[::1]:1", "127.9.9.9:1"])
def test_loopback_addresses_are_protected_unless_the_file_disables_it(listen: str) -> None:
    assert get_status({"listen": listen}, EVIL) == 403
    assert get_status({"listen": listen}, (b"host", b"localhost"), PAGE) == 403
    assert get_status({"listen": listen, "hosts": ["*"]}, EVIL) == 200
    assert get_status({"listen": listen, "hosts": ["*"], "origins": ["*"]}, EVIL, PAGE) == 200
    assert get_status({"listen": listen}, EVIL, EVIL) == 400


def test_accepts_a_request_without_a_host() -> None:
    assert get_status({}) == 200


# --- Handshakes that another proxy forwards -------------------------------------------------------

OWN = ("api.test:8443", "https://api.test:8443")


def handshake_status(table: dict[str, Any], host: str, *headers: tuple[bytes, bytes]) -> int:
    """Return the status of the rejection of a forwarded handshake, or 200."""
    rule = BrowserRule(GatewayTable().load(table), {"r": {"tenant": from_host("t.test")}})
    try:
        rule.check_forwarded_handshake(host, headers)
    except RequestRejectedError as error:
        return error.status
    return 200


@pytest.mark.parametrize("listen", ["0.0.0.0:1", "127.0.0.1:1"])
def test_a_forwarded_handshake_needs_a_known_page_on_every_address(listen: str) -> None:
    def status(table: dict[str, Any], host: str, *origins: str) -> int:
        headers = [(b"origin", each.encode()) for each in origins]
        return handshake_status({"listen": listen, **table}, host, *headers)

    local = listen.startswith("127.")
    assert status({}, OWN[0]) == 200
    assert status({}, *OWN) == (403 if local else 200)
    assert status({"hosts": ["api.test"]}, *OWN) == 200
    assert status({"hosts": ["other.test"]}, *OWN) == 403
    assert status({"origins": [OWN[1]]}, "any.test", OWN[1]) == 200
    assert status({"origins": ["*"]}, "any.test", "https://evil.com") == 200
    assert status({}, "localhost:1", "http://localhost:1") == 200
    for origin in ("https://evil.com", "http://localhost:3000", "https://api.test", "null", "x"):
        assert status({"hosts": ["*"]}, OWN[0], origin) == 403, origin
    assert status({}, "", "https://evil.com") == 403
    assert status({}, *OWN, OWN[1]) == 400


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none, cross-site"])
def test_a_forwarded_handshake_without_an_origin_must_not_be_of_another_site(site: str) -> None:
    for table in ({}, {"listen": "127.0.0.1:1"}):
        header = (b"sec-fetch-site", site.encode())
        assert handshake_status(table, "localhost", header) == 403
        assert handshake_status(table, "localhost", (b"sec-fetch-site", b"same-origin")) == 200
