"""The authorization endpoint, with requests as the documented proxy configurations send them."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

import grpc
import pytest
import requests

from tests.plugins.gateway.running.conftest import Backends
from tests.plugins.gateway.running.envoys import check_method, http_request
from tests.plugins.gateway.running.programs import PATIENCE, GatewayProcess, gateway
from tests.raw_http import read_all

ACME = {"X-Tenant": "acme"}
LISTEN = '[authorize]\nlisten = "127.0.0.1:0"\ngrpc_listen = "127.0.0.1:0"\n'


@pytest.fixture
def run(backends: Backends) -> Iterator[GatewayProcess]:
    config = backends.write(
        backends.provider()
        + '[providers.down]\ntoken_endpoint = "http://127.0.0.1:1/token"\nclient_id = "x"\n'
        + backends.route(upstream="")
        + backends.route("key", upstream="", header='"X-Api-Key"', scheme='""')
        + backends.route("kept", upstream="", incoming='"keep"')
        + backends.route("closed", upstream="", provider='"down"')
        + backends.route("open", upstream="", provider='"down"', on_failure='"open"')
        + LISTEN
    )
    with gateway(config) as running:
        yield running


@dataclass
class Checked:
    """The gateway's response to a check of Envoy.

    Attributes:
        status_code: Status of the response to the caller; 200 if the request passes.
        headers: Headers that Envoy sets, in the request or in the response to the caller.
        removed: Headers that Envoy removes from the request.
        text: Body of the response to the caller.
    """

    status_code: int
    headers: Mapping[str, str]
    removed: set[str]
    text: str


class Envoy(Protocol):
    """Sends a check as Envoy does."""

    def __call__(
        self, run: GatewayProcess, path: str, method: str = "GET", **headers: str
    ) -> Checked:
        """Return the gateway's response."""
        ...


def over_http(run: GatewayProcess, path: str, method: str = "GET", **headers: str) -> Checked:
    """Send method, host and prefixed path of the request, without body."""
    response = requests.request(
        method,
        f"{run.authorize}/envoy{path}",
        headers={"Host": "api.example.com", "Content-Length": "0", **headers},
        timeout=PATIENCE,
    )
    assert response.status_code != 200 or response.content == b""
    removed = response.headers.get("x-envoy-auth-headers-to-remove", "")
    return Checked(response.status_code, response.headers, set(removed.split(",")), response.text)


def over_grpc(run: GatewayProcess, path: str, method: str = "GET", **headers: str) -> Checked:
    """Send the request with raw headers, as the printed configuration says."""
    host = headers.pop("Host", "api.example.com")
    pairs = [(name.lower(), value) for name, value in headers.items()]
    return checked(run, http_request(method, host, path, *pairs))


def checked(run: GatewayProcess, request: Any) -> Checked:
    """Send a ``CheckRequest``, and return the gateway's response."""
    with grpc.insecure_channel(run.grpc) as channel:
        response = check_method(channel)(request, timeout=PATIENCE)
    passes = response.status.code == 0
    found = response.ok_response if passes else response.denied_response
    assert response.HasField("ok_response" if passes else "denied_response")
    assert all(each.append_action == 2 for each in found.headers)
    headers = {each.header.key: each.header.value for each in found.headers}
    if passes:
        return Checked(200, headers, set(found.headers_to_remove), "")
    return Checked(found.status.code, headers, set(), found.body)


@pytest.fixture(params=[over_http, over_grpc])
def envoy(request: pytest.FixtureRequest) -> Envoy:
    """Return the protocols of Envoy's ``ext_authz``."""
    sends: Envoy = request.param
    return sends


def nginx(run: GatewayProcess, uri: str, **headers: str) -> requests.Response:
    """Send a check as nginx does with the documented configuration."""
    request_headers = {
        "X-Original-URI": uri,
        "X-Original-Method": "POST",
        "X-Forwarded-Host": "api.example.com",
        **headers,
    }
    return requests.get(f"{run.authorize}/nginx", headers=request_headers, timeout=PATIENCE)


def test_envoy_gets_the_header_to_add(
    run: GatewayProcess, envoy: Envoy, backends: Backends
) -> None:
    for method in ("GET", "POST", "DELETE"):
        response = envoy(run, "/orders/1?x=1", method, **ACME, Authorization="Bearer from-caller")
        assert response.status_code == 200
        assert response.headers["authorization"].startswith("Bearer gwa_")
        assert envoy is over_grpc or response.headers["cache-control"] == "no-store"
    key = envoy(run, "/key", **ACME, Authorization="Bearer from-caller")
    assert key.headers["x-api-key"].startswith("gwa_")
    assert {"authorization", "x_api_key", "x_tenant", "x_forwarded_for"} <= key.removed
    assert not {"x-api-key", "x-tenant", "x-forwarded-for"} & key.removed
    kept = envoy(run, "/kept", **ACME, Authorization="Bearer from-caller")
    assert (kept.status_code, kept.headers.get("authorization")) == (200, None)
    assert "authorization" not in kept.removed
    assert backends.echo.requests == []


def test_envoy_gets_the_status_of_a_rejection(run: GatewayProcess, envoy: Envoy) -> None:
    assert envoy(run, "/orders").status_code == 403
    assert envoy(run, "/orders", **{"X-Tenant": "a b"}).status_code == 400
    assert envoy(run, "/orders//x", **ACME).status_code == 400
    assert envoy(run, "/nothing", **ACME).status_code == 404
    closed = envoy(run, "/closed", **ACME)
    assert (closed.status_code, "authorization" in closed.headers) == (503, False)
    opened = envoy(run, "/open", **ACME, Authorization="Bearer from-caller")
    assert (opened.status_code, "authorization" in opened.headers) == (200, False)
    assert "authorization" in opened.removed


def test_nginx_gets_the_header_to_copy(run: GatewayProcess) -> None:
    response = nginx(run, "/orders/1?x=1", **ACME, Authorization="Bearer from-caller")
    assert response.status_code == 200
    assert response.headers["authorization"].startswith("Bearer gwa_")
    kept = nginx(run, "/kept", **ACME, Authorization="Bearer from-caller")
    assert kept.headers["authorization"] == "Bearer from-caller"
    opened = nginx(run, "/open", **ACME, Authorization="Bearer from-caller")
    assert (opened.status_code, "authorization" in opened.headers) == (200, False)


def test_nginx_gets_only_statuses_that_it_forwards(run: GatewayProcess) -> None:
    for uri, headers in (
        ("/orders", {}),
        ("/orders", {"X-Tenant": "a b"}),
        ("/orders/../x", ACME),
        ("/nothing", ACME),
        ("orders", ACME),
        ("", ACME),
    ):
        assert nginx(run, uri, **headers).status_code == 403
    assert nginx(run, "/closed", **ACME).status_code == 503


@pytest.mark.parametrize("method", ["TRACE", "trace"])
def test_no_token_for_a_method_whose_response_shows_it(
    run: GatewayProcess, method: str, envoy: Envoy
) -> None:
    """The upstream sends the request's headers back (RFC 9110 section 9.3.8)."""
    described = nginx(run, "/orders", **ACME, **{"X-Original-Method": method})
    forwarded = forward_auth(run, "/orders", **ACME, **{"X-Forwarded-Method": method})
    traced = envoy(run, "/orders", method, **ACME)
    assert [each.status_code for each in (described, forwarded, traced)] == [403, 501, 501]
    assert not any("authorization" in each.headers for each in (described, forwarded, traced))


def forward_auth(run: GatewayProcess, uri: str, **headers: str) -> requests.Response:
    """Send a check as Traefik and Caddy do, with the request in ``X-Forwarded-*``."""
    request_headers = {
        "X-Forwarded-Method": "POST",
        "X-Forwarded-Uri": uri,
        "X-Forwarded-Host": "api.example.com",
        **headers,
    }
    return requests.get(f"{run.authorize}/forward-auth", headers=request_headers, timeout=PATIENCE)


def test_traefik_and_caddy_get_the_header_to_copy(run: GatewayProcess) -> None:
    response = forward_auth(run, "/orders/1?x=1", **ACME, Authorization="Bearer from-caller")
    assert response.status_code == 200
    assert response.headers["authorization"].startswith("Bearer gwa_")
    kept = forward_auth(run, "/kept", **ACME, Authorization="Bearer from-caller")
    assert kept.headers["authorization"] == "Bearer from-caller"
    opened = forward_auth(run, "/open", **ACME, Authorization="Bearer from-caller")
    assert (opened.status_code, "authorization" in opened.headers) == (200, False)


def test_traefik_and_caddy_get_the_real_status(run: GatewayProcess) -> None:
    assert forward_auth(run, "/orders").status_code == 403
    assert forward_auth(run, "/orders//x", **ACME).status_code == 400
    assert forward_auth(run, "/nothing", **ACME).status_code == 404
    assert forward_auth(run, "/closed", **ACME).status_code == 503
    assert forward_auth(run, "", **ACME).status_code == 403


def test_a_proxy_is_described_only_by_its_own_header(run: GatewayProcess) -> None:
    """A caller cannot choose its route by the header that another proxy would set."""
    forged = {**ACME, "X-Original-URI": "/orders", "X-Forwarded-Uri": "/orders"}
    assert (
        forward_auth(run, "/nothing", **{**forged, "X-Forwarded-Uri": "/nothing"}).status_code
        == 404
    )
    assert nginx(run, "/nothing", **{**forged, "X-Original-URI": "/nothing"}).status_code == 403


@pytest.mark.parametrize("character", ["\t", "\x01", "\x0b", "\x1f", "\x7f", " "])
def test_rejects_control_characters_in_the_target(run: GatewayProcess, character: str) -> None:
    for path, name in (("nginx", "X-Original-URI"), ("forward-auth", "X-Forwarded-Uri")):
        parts = urlsplit(run.authorize)
        head = (
            f"GET /{path} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n"
            f"X-Tenant: acme\r\nX-Forwarded-Host: api.example.com\r\n"
            f"{name}: /ord{character}ers\r\n\r\n"
        )
        with socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE) as opened:
            opened.sendall(head.encode("latin-1"))
            response = read_all(opened)
        assert response.startswith(b"HTTP/1.1 400 "), response
        assert b"authorization" not in response.lower()


def test_rejects_a_fragment_in_the_target(run: GatewayProcess) -> None:
    assert nginx(run, "/orders#/x", **ACME).status_code == 403
    assert forward_auth(run, "/orders#/x", **ACME).status_code == 400


@pytest.mark.parametrize(
    "name", ["X_Tenant", "X-TENANT_", "X.Tenant", "X_Forwarded_For", "x_real_ip", "Content_Length"]
)
def test_rejects_other_spellings_of_headers_that_the_proxy_forwards(
    run: GatewayProcess, name: str, envoy: Envoy
) -> None:
    spoofed = {**ACME, name: "umbrella"}
    rejected = name != "X-TENANT_"  # ``X-Tenant-`` is another header
    assert nginx(run, "/orders", **spoofed).status_code == (403 if rejected else 200)
    assert forward_auth(run, "/orders", **spoofed).status_code == (400 if rejected else 200)
    assert envoy(run, "/orders", **spoofed).status_code == (400 if rejected else 200)


def test_only_allowed_proxies_get_a_response(backends: Backends) -> None:
    config = backends.write(
        backends.provider() + backends.route(upstream="") + LISTEN + 'allow = ["10.0.0.0/8"]\n'
    )
    with gateway(config) as run:
        response = over_http(run, "/orders", **ACME)
        with pytest.raises(grpc.RpcError) as denied:
            over_grpc(run, "/orders", **ACME)
    assert (response.status_code, "authorization" in response.headers) == (403, False)
    assert denied.value.code() is grpc.StatusCode.PERMISSION_DENIED


def test_dns_rebinding_does_not_get_a_token(run: GatewayProcess) -> None:
    port = run.authorize.rpartition(":")[2]
    for host, status in (
        (f"page.test:{port}", 403),
        (f"me@page.test:{port}", 400),
        (f"localhost.page.test:{port}", 403),
        (f"127.0.0.1:{port}", 200),
        (f"localhost:{port}", 200),
        ("api.example.com:8443", 200),
    ):
        for response in (
            over_http(run, "/orders", **{**ACME, "Host": host}),
            nginx(run, "/orders", **{**ACME, "Host": host}),
        ):
            assert response.status_code == status
            assert ("authorization" in response.headers) == (status == 200)


def test_the_gateway_does_not_forward_a_route_without_upstream(run: GatewayProcess) -> None:
    assert requests.get(f"{run.url}/orders", headers=ACME, timeout=PATIENCE).status_code == 404


def test_repeated_headers_are_rejected_over_grpc(run: GatewayProcess) -> None:
    """Whether Envoy sends them one by one, or joins them with commas."""
    twice = [("x-tenant", "acme"), ("x-tenant", "umbrella")]
    assert checked(run, http_request("GET", "api.test", "/orders", *twice)).status_code == 400
    joined = http_request("GET", "api.test", "/orders", ("x-tenant", "acme,umbrella"), raw=False)
    assert checked(run, joined).status_code == 400
    plain = http_request("GET", "api.test", "/orders", ("x-tenant", "acme"), raw=False)
    assert checked(run, plain).headers["authorization"].startswith("Bearer gwa_")


@pytest.mark.parametrize("host", ["", "a b", "evil@api.test", "api.test/x"])
def test_no_grpc_request_is_too_strange_for_a_response(run: GatewayProcess, host: str) -> None:
    tenant = ("x-tenant", "acme")
    for path in ("", "*", "orders", "/orders/\x00", "/orders/\u20ac", "//orders", "/orders#/.."):
        assert checked(run, http_request("", host, path, tenant)).status_code in {400, 404}
    empty = ("", "x")
    found = checked(run, http_request("GET", "api.test", "/orders", tenant, empty))
    assert found.status_code == 200
    assert checked(run, http_request("GET", "", "/orders", ("x-tenant", "\xff"))).status_code == 400


def test_the_origin_of_a_websocket_handshake_is_checked(run: GatewayProcess, envoy: Envoy) -> None:
    """A proxy says with the name of the route that the request is a handshake."""
    handshake = {**ACME, "X-Grantway-Route": "orders websocket"}
    page = {"Origin": "https://evil.example"}
    assert envoy(run, "/orders", **handshake).status_code == 200
    assert envoy(run, "/orders", **handshake, **page).status_code == 403
    assert envoy(run, "/orders", **ACME, **page).status_code == 200
    own = {"Origin": "http://localhost:8080", "Host": "localhost:8080"}
    assert envoy(run, "/orders", **handshake, **own).status_code == 200
    assert envoy(run, "/key", **handshake).status_code == 403
    assert nginx(run, "/orders", **handshake).status_code == 200
    assert nginx(run, "/orders", **handshake, **page).status_code == 403
    forwarded = {"Origin": "http://localhost:8080", "X-Forwarded-Host": "localhost:8080"}
    assert nginx(run, "/orders", **handshake, **forwarded).status_code == 200


def test_traefik_and_caddy_need_not_say_that_a_request_is_a_handshake(run: GatewayProcess) -> None:
    handshake = {**ACME, "Sec-WebSocket-Version": "13"}
    assert forward_auth(run, "/orders", **handshake).status_code == 200
    page = {"Origin": "https://evil.example"}
    assert forward_auth(run, "/orders", **handshake, **page).status_code == 403
    assert forward_auth(run, "/orders", **ACME, **page).status_code == 200
