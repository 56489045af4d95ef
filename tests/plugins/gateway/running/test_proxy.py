"""Requests that the gateway forwards, and their responses."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from grantway._exceptions import ConfigurationError
from grantway_grants.device_code import GRANT_TYPE as DEVICE_CODE
from grantway_plugins.gateway import hash_secret
from grantway_plugins.gateway._forwarding.target import Target
from grantway_plugins.gateway._forwarding.upstream_pool import UpstreamPool
from grantway_plugins.gateway._running.server import serve
from grantway_plugins.issuer import IssuerServer
from tests.faults import free_port
from tests.plugins.gateway.running.conftest import Backends, make_backends
from tests.plugins.gateway.running.programs import PATIENCE, EchoUpstream, GatewayProcess, gateway
from tests.raw_http import read_all, read_response
from tests.waiting import until

ACME = {"X-Tenant": "acme"}
CONNECTIONS = 40


def raw(url: str, request: bytes) -> bytes:
    """Send bytes and return everything received until the gateway closes the connection."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE) as opened:
        # The gateway may reject a request and close the connection before reading all of it.
        with suppress(ConnectionError):
            opened.sendall(request)
        return read_all(opened)


def configuration(backends: Backends, seconds: float) -> Path:
    """Write a gateway file that limits the wait for a caller to ``seconds``."""
    return backends.write(
        backends.provider()
        + backends.route(path='"/"')
        + backends.route(
            "api", upstream=f'"{backends.url}/base"', strip_path="true", keep_host="true"
        )
        + backends.route("unavailable", upstream=f'"http://127.0.0.1:{free_port()}"')
        + backends.route(
            "hasty", upstream=f'"{backends.url}"', strip_path="true", answer_timeout="0.3"
        )
        + backends.route("elsewhere", host='"other.example.com"', path='"/"', tenant='"single"')
        + "[gateway.limits]\nbody_bytes = 300000\nheader_bytes = 4096\n"
        + f"header_seconds = {seconds}\nbody_seconds = {seconds}\n"
        f"send_seconds = {seconds}\nconnections = {CONNECTIONS}\n"
        '[gateway]\nlisten = "127.0.0.1:0"\nadmin = "127.0.0.1:0"\nhosts = ["x"]\n'
    )


@pytest.fixture(scope="module")
def patient(
    issuer: IssuerServer,
    echo_server: tuple[EchoUpstream, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[GatewayProcess]:
    backends = make_backends(issuer, echo_server, tmp_path_factory.mktemp("patient"))
    with gateway(configuration(backends, PATIENCE)) as running:
        yield running


@pytest.fixture(scope="module")
def impatient(
    issuer: IssuerServer,
    echo_server: tuple[EchoUpstream, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[GatewayProcess]:
    backends = make_backends(issuer, echo_server, tmp_path_factory.mktemp("impatient"))
    with gateway(configuration(backends, 1.0)) as running:
        yield running


@pytest.fixture
def run(patient: GatewayProcess, backends: Backends) -> GatewayProcess:
    """Return a gateway that waits for slow callers, with no requests recorded upstream."""
    return patient


@pytest.fixture
def hasty(impatient: GatewayProcess, backends: Backends) -> GatewayProcess:
    """Return a gateway that waits one second for slow callers."""
    return impatient


def test_forwards_a_request_and_its_response(
    run: GatewayProcess, backends: Backends, http: requests.Session
) -> None:
    response = http.put(
        f"{run.url}/a%20b/c?x=%2F&y=ü",
        data=b"\x00\xff body",
        headers={
            **ACME,
            "Authorization": "Bearer from-caller",
            "Connection": "x-private, keep-alive",
            "X-Private": "1",
            "X-Name": "Jürgen".encode(),
            "X-Forwarded-For": "6.6.6.6",
            "X-Forwarded-Proto": "https",
            "Forwarded": "for=6.6.6.6",
            "TE": "trailers",
        },
        timeout=PATIENCE,
    )
    assert response.status_code == 200
    payload = response.json()
    headers = dict(payload["headers"])
    assert (payload["method"], payload["path"], payload["query"]) == (
        "PUT",
        "/a%20b/c",
        "x=%2F&y=%C3%BC",
    )
    assert payload["body"] == "\x00\xff body"
    assert headers["authorization"].startswith("Bearer gwa_")
    assert headers["host"] == urlsplit(backends.url).netloc
    assert headers["x-name"].encode("latin-1").decode() == "Jürgen"
    assert headers["x-forwarded-for"] == "127.0.0.1"
    assert headers["x-forwarded-proto"] == "http"
    assert headers["x-forwarded-host"] == urlsplit(run.url).netloc
    assert headers["via"] == "1.1 grantway"
    assert not {"x-private", "te", "forwarded"} & headers.keys()
    assert response.headers["via"] == "1.1 grantway"
    assert "x-hop" not in response.headers
    assert response.raw.headers.getlist("set-cookie") == ["a=1", "b=2"]


SPOOFED = [
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Client-Cert",
    "X-Real-IP",
    "X-Original-URL",
    "X-Original-Host",
    "X-Rewrite-URL",
    "True-Client-IP",
    "CF-Connecting-IP",
    "X-Client-IP",
    "X-Vercel-Forwarded-For",
    "Do-Connecting-IP",
    "X-Nf-Client-Connection-IP",
    "CloudFront-Viewer-Address",
    "Akamai-Client-IP",
    "Forwarded",
    "Proxy",
]
MISSPELLED = [
    "X_Forwarded_For",
    "X-Forwarded_Host",
    "X.Forwarded.For",
    "X_Real_IP",
    "X_Tenant",
    "x.tenant",
    "Transfer_Encoding",
    "Content_Length",
    "Proxy_Authorization",
]


def test_removes_proxy_headers_from_untrusted_peers(
    run: GatewayProcess, http: requests.Session
) -> None:
    spoofed = dict.fromkeys([*SPOOFED, *MISSPELLED], "6.6.6.6")
    response = http.get(
        f"{run.url}/", headers={**ACME, **spoofed, "X_Other": "1"}, timeout=PATIENCE
    )
    headers = dict(response.json()["headers"])
    assert not {name.lower() for name in spoofed} & headers.keys()
    assert "6.6.6.6" not in headers.values()
    assert (headers["x-tenant"], headers["x_other"]) == ("acme", "1")


def test_selects_upstream_path_and_token_by_route(
    run: GatewayProcess, backends: Backends, http: requests.Session
) -> None:
    def path(address: str, **headers: str) -> str:
        response = http.get(f"{run.url}{address}", headers={**ACME, **headers}, timeout=PATIENCE)
        return str(response.json()["path"])

    assert path("/api/x") == "/base/x"
    assert path("/api") == "/base"
    assert path("/api/") == "/base/"
    assert path("/apix") == "/apix"
    assert dict(backends.echo.requests[0]["headers"])["host"] == urlsplit(run.url).netloc
    assert path("/api/x", host="other.example.com") == "/api/x"
    tokens = backends.echo.tokens
    assert len(set(tokens[:4])) == 1
    assert tokens[4] != tokens[0]  # the single tenant of the route


@pytest.mark.parametrize("path", ["/chunked", "/status/204", "/status/304", "/status/404"])
def test_forwards_responses_with_and_without_bodies(
    run: GatewayProcess, http: requests.Session, path: str
) -> None:
    for method in ("GET", "HEAD"):
        response = http.request(method, f"{run.url}{path}", headers=ACME, timeout=PATIENCE)
        assert response.status_code == int(path.rpartition("/")[2]) if "status" in path else 200


def test_streams_request_bodies(run: GatewayProcess, http: requests.Session) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(25):
            yield b"x" * 10_000

    chunked = http.post(f"{run.url}/", data=pieces(), headers=ACME, timeout=PATIENCE)
    assert len(chunked.json()["body"]) == 250_000
    sized = http.post(f"{run.url}/", data=b"y" * 250_000, headers=ACME, timeout=PATIENCE)
    assert len(sized.json()["body"]) == 250_000


def test_rejects_a_body_that_is_too_large(run: GatewayProcess, http: requests.Session) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(50):
            yield b"x" * 10_000

    too_much = http.post(f"{run.url}/", data=b"y" * 300_001, headers=ACME, timeout=PATIENCE)
    assert (too_much.status_code, too_much.headers["connection"]) == (413, "close")
    with requests.Session() as other:
        assert other.post(f"{run.url}/", data=pieces(), headers=ACME).status_code == 413
    assert http.get(f"{run.url}/", headers=ACME, timeout=PATIENCE).status_code == 200


@pytest.mark.parametrize("head", [b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_rejects_a_body_that_is_too_slow(hasty: GatewayProcess, head: bytes) -> None:
    response = raw(hasty.url, b"POST / HTTP/1.1\r\nHost: x\r\nX-Tenant: acme\r\n" + head + b"\r\n")
    assert response.startswith(b"HTTP/1.1 408 "), response
    assert requests.get(f"{hasty.url}/", headers=ACME, timeout=PATIENCE).status_code == 200


def test_responds_502_and_504_if_the_upstream_is_unavailable_or_slow(
    run: GatewayProcess, backends: Backends, http: requests.Session
) -> None:
    unavailable = http.get(f"{run.url}/unavailable/x", headers=ACME, timeout=PATIENCE)
    assert (unavailable.status_code, unavailable.json()["error"]) == (502, "bad_gateway")
    hasty = http.get(f"{run.url}/hasty/slow", headers=ACME, timeout=PATIENCE)
    assert (hasty.status_code, hasty.json()["error"]) == (504, "gateway_timeout")
    # Otherwise, the next test could mistake the end of this request for the end of its request.
    assert backends.echo.disconnected.wait(PATIENCE)
    # On a busy machine, the next response may also be late.
    until(lambda: http.get(f"{run.url}/hasty/x", headers=ACME, timeout=PATIENCE).ok)


def test_connect_timeout_includes_the_name_lookup(monkeypatch: pytest.MonkeyPatch) -> None:
    route = {"upstream": "https://orders.test", "path": "/", "strip_path": False}
    limits = {"connect_timeout": 0.05, "answer_timeout": PATIENCE, "idle_timeout": PATIENCE}
    target = Target.of({**route, **limits, "keep_host": False, "rewrite_location": False})
    assert target is not None

    async def never(*_args: Any, **_options: Any) -> Any:
        await asyncio.Event().wait()

    async def connect() -> None:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", never)
        await UpstreamPool().connect(target.place, target.connect_timeout)

    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(connect(), PATIENCE))


def test_callers_detect_an_incomplete_response(run: GatewayProcess, http: requests.Session) -> None:
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        http.get(f"{run.url}/cut", headers=ACME, timeout=PATIENCE)


def test_cancels_the_upstream_request_if_the_caller_disconnects(
    run: GatewayProcess, backends: Backends
) -> None:
    parts = urlsplit(run.url)
    with socket.create_connection((parts.hostname, parts.port)) as opened:
        opened.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\nX-Tenant: acme\r\n\r\n")
        assert backends.echo.request_started.wait(PATIENCE)
        assert not backends.echo.disconnected.wait(0.2)
    assert backends.echo.disconnected.wait(PATIENCE)


def test_cancels_the_upstream_request_if_the_caller_does_not_read(
    hasty: GatewayProcess, backends: Backends
) -> None:
    parts = urlsplit(hasty.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE) as opened:
        opened.sendall(b"GET /endless HTTP/1.1\r\nHost: x\r\nX-Tenant: acme\r\n\r\n")
        assert backends.echo.disconnected.wait(PATIENCE)
        end = b""
        with suppress(ConnectionResetError):
            while piece := opened.recv(1_000_000):
                end = piece
    assert not end.endswith(b"0\r\n\r\n")  # the caller can detect that the response is incomplete


@pytest.mark.parametrize(
    ("line", "headers", "status"),
    [
        (b"TRACE / HTTP/1.1", b"Connection: close\r\n", b"501"),
        (b"CONNECT x:1 HTTP/1.1", b"", b"501"),
        (b"POST / HTTP/1.1", b"Connection: upgrade\r\nUpgrade: websocket\r\n", b"400"),
        (b"GET / HTTP/1.0", b"Connection: upgrade\r\nUpgrade: websocket\r\n", b"400"),
        (b"GET / HTTP/1.1", b"Upgrade: websocket\r\n", b"400"),
        (
            b"GET / HTTP/1.1",
            b"Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n",
            b"400",
        ),
        (b"GET / HTTP/1.1", b"Expect: unknown\r\n", b"417"),
        (b"GET / HTTP/1.1", b"X-Tenant: other\r\nConnection: close\r\n", b"400"),
        (b"GET / HTTP/1.1", b"Host: y\r\nConnection: close\r\n", b"400"),
        (b"GET / HTTP/1.1", b"X-Large: " + b"a" * 5000 + b"\r\n", b"431"),
        (b"GET / HTTP/1.1", b"X: 1\r\n" * 2000, b"431"),
        (b"GET /" + b"a" * 5000 + b" HTTP/1.1", b"", b"431"),
        (b"GET /a//b HTTP/1.1", b"Connection: close\r\n", b"400"),
        (b"GET /%2e%2e/b HTTP/1.1", b"Connection: close\r\n", b"400"),
        (b"POST / HTTP/1.1", b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", b"400"),
        (b"POST / HTTP/1.1", b"Content-Length: 3\r\nContent-Length: 4\r\n", b"400"),
        (b"GET / HTTP/1.1", b"X-Bytes: \xff\xfe\r\nConnection: close\r\n", b"400"),
    ],
)
def test_rejects_requests_that_it_cannot_forward(
    run: GatewayProcess, backends: Backends, line: bytes, headers: bytes, status: bytes
) -> None:
    response = raw(run.url, line + b"\r\nHost: x\r\nX-Tenant: acme\r\n" + headers + b"\r\n")
    assert response.startswith(b"HTTP/1.1 " + status + b" "), response
    assert backends.echo.requests == []


def test_supports_expect_100_continue(run: GatewayProcess) -> None:
    parts = urlsplit(run.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE) as opened:
        opened.sendall(
            b"POST / HTTP/1.1\r\nHost: x\r\nX-Tenant: acme\r\nContent-Length: 2\r\n"
            b"Expect: 100-continue\r\n\r\n"
        )
        assert read_response(opened).startswith(b"HTTP/1.1 100 ")
        opened.sendall(b"hi")
        assert read_response(opened).startswith(b"HTTP/1.1 200 OK\r\n")


def test_closes_silent_connections_and_serves_other_callers(hasty: GatewayProcess) -> None:
    parts = urlsplit(hasty.url)
    silent = []
    try:
        for number in range(30):
            silent.append(socket.create_connection((parts.hostname, parts.port)))
            if number < 10:
                silent[-1].sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        assert requests.get(f"{hasty.url}/", headers=ACME, timeout=PATIENCE).status_code == 200
        for each in silent:
            each.settimeout(PATIENCE)
            response = read_all(each)
            assert response.startswith(b"HTTP/1.1 408 ") if each in silent[:10] else response == b""
    finally:
        for each in silent:
            each.close()


@pytest.mark.usefixtures("many_files")
def test_a_thousand_silent_connections_do_not_block_other_callers(hasty: GatewayProcess) -> None:
    parts = urlsplit(hasty.url)
    silent = [socket.create_connection((parts.hostname, parts.port)) for _ in range(1000)]
    try:
        for each in silent:
            each.settimeout(PATIENCE)
            read_all(each)  # 503, or nothing
    finally:
        for each in silent:
            each.close()
    # A connection counts until the gateway notices that it was closed.
    response = until(
        lambda: requests.get(f"{hasty.url}/", headers=ACME, timeout=PATIENCE),
        lambda response: response.status_code != 503,
    )
    assert response.status_code == 200


def test_replaces_a_token_rejected_upstream_once_for_all_requests(
    run: GatewayProcess, backends: Backends, http: requests.Session
) -> None:
    mine = {"X-Tenant": "rejected"}
    http.get(f"{run.url}/", headers=mine, timeout=PATIENCE)
    rejected = backends.echo.tokens[0]
    backends.echo.rejected_tokens.add(rejected)

    def post(_number: int) -> int:
        return requests.post(
            f"{run.url}/", data=b"again", headers=mine, timeout=PATIENCE
        ).status_code

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(post, range(8))) == {200}
    assert len({each for each in backends.echo.tokens if each != rejected}) == 1
    assert all(each["body"] == "again" for each in backends.echo.requests[1:])


def test_rejects_requests_without_a_valid_tenant(
    run: GatewayProcess, backends: Backends, http: requests.Session
) -> None:
    assert http.get(f"{run.url}/", timeout=PATIENCE).status_code == 403
    assert http.get(f"{run.url}/", headers={"X-Tenant": "a b"}, timeout=PATIENCE).status_code == 400
    assert backends.echo.requests == []


def test_tenants_never_share_tokens(run: GatewayProcess, backends: Backends) -> None:
    def send_request(number: int) -> tuple[str, str]:
        tenant = f"t{number % 20}"
        response = requests.get(f"{run.url}/", headers={"X-Tenant": tenant}, timeout=PATIENCE)
        return tenant, dict(response.json()["headers"])["authorization"]

    with ThreadPoolExecutor(8) as threads:
        seen = list(threads.map(send_request, range(100)))
    assert len(set(seen)) == 20
    assert len({token for _, token in seen}) == 20


def test_keeps_proxy_headers_from_trusted_proxies(
    backends: Backends, http: requests.Session
) -> None:
    text = backends.provider() + backends.route(path='"/"')
    trusting = (
        '[gateway]\nlisten = "127.0.0.1:0"\nadmin = "127.0.0.1:0"\n'
        'trusted_proxies = ["127.0.0.0/8"]\n'
    )
    with gateway(backends.write(trusting + text)) as second:
        response = http.get(
            f"{second.url}/",
            headers={
                **ACME,
                "X-Forwarded-For": "9.9.9.9",
                "X-Forwarded-Proto": "https",
                "X-Forwarded-Host": "shop.example.com",
                "Via": "1.0 edge",
                "X-Real-IP": "9.9.9.9",
                "X-Forwarded-Port": "443",
                "X_Forwarded_For": "6.6.6.6",
                "X_Real_IP": "6.6.6.6",
            },
            timeout=PATIENCE,
        )
    headers = dict(response.json()["headers"])
    assert headers["x-forwarded-for"] == "9.9.9.9, 127.0.0.1"
    assert headers["x-forwarded-proto"] == "https"
    assert headers["x-forwarded-host"] == "shop.example.com"
    assert headers["via"] == "1.0 edge, 1.1 grantway"
    assert (headers["x-real-ip"], headers["x-forwarded-port"]) == ("9.9.9.9", "443")
    assert not {"x_forwarded_for", "x_real_ip"} & headers.keys()


def test_keeps_or_exchanges_the_callers_token(backends: Backends, http: requests.Session) -> None:
    config = backends.write(
        backends.provider()
        + backends.route("kept", incoming='"keep"')
        + backends.route("exchanged", incoming='"exchange"')
    )
    own = {**ACME, "Authorization": "Bearer from-caller"}
    with gateway(config) as run:
        kept = http.get(f"{run.url}/kept", headers=own, timeout=PATIENCE).json()
        assert dict(kept["headers"])["authorization"] == "Bearer from-caller"
        rejected = http.get(f"{run.url}/exchanged", headers=own, timeout=PATIENCE)
        assert rejected.status_code == 401
        assert "invalid_token" in rejected.headers["www-authenticate"]
        got = requests.post(
            f"{backends.issuer.url}/token",
            data={"grant_type": "client_credentials"},
            auth=(backends.client_id, backends.client_secret),
            timeout=PATIENCE,
        ).json()["access_token"]
        good = {**ACME, "Authorization": f"Bearer {got}"}
        exchanged = http.get(f"{run.url}/exchanged", headers=good, timeout=PATIENCE)
        assert exchanged.status_code == 200, exchanged.text
        carried = dict(exchanged.json()["headers"])["authorization"]
        assert carried.startswith("Bearer gwa_")
        assert carried != f"Bearer {got}"


def test_serves_a_token_endpoint(backends: Backends, http: requests.Session) -> None:
    secret = "shop-very-secret-0123456789"
    config = backends.write(
        backends.provider()
        + backends.route(path='"/"')
        + '[token_endpoint]\nprovider = "idp"\nallow = ["client_credentials", '
        + f'"{DEVICE_CODE}"]\nclients = {{shop = "{hash_secret(secret)}"}}\n'
    )
    with gateway(config) as run:
        response = http.post(
            f"{run.url}/token",
            data={"grant_type": "client_credentials", "scope": "read"},
            auth=("shop", secret),
            timeout=PATIENCE,
        )
        assert (response.status_code, response.json()["scope"]) == (200, "read")
        unknown = http.post(
            f"{run.url}/token", data={"grant_type": "client_credentials"}, timeout=PATIENCE
        )
        assert unknown.json()["error"] == "invalid_client"
        device_login = http.post(
            f"{run.url}/device_authorization", auth=("shop", secret), timeout=PATIENCE
        )
        assert device_login.status_code == 200, device_login.text
        assert device_login.json()["device_code"].startswith("gwb1.")
        redeemed = http.post(
            f"{run.url}/token",
            data={"grant_type": DEVICE_CODE, "device_code": device_login.json()["device_code"]},
            auth=("shop", secret),
            timeout=PATIENCE,
        )
        assert redeemed.json().get("error") in {None, "authorization_pending"}


def test_listed_tenants_have_separate_clients_and_scopes(
    backends: Backends, http: requests.Session
) -> None:
    other = backends.register()
    config = backends.write(
        backends.provider()
        + backends.route(more='tenants = "listed"\nscope = ["read"]\n')
        + "[tenants.acme]\n[tenants.umbrella.idp]\n"
        + f'client_id = "{other["client_id"]}"\nclient_secret = "{other["client_secret"]}"\n'
        + 'scope = ["write"]\n'
    )

    def introspect(token: str) -> dict[str, Any]:
        response = requests.post(
            f"{backends.issuer.url}/introspect",
            data={"token": token.removeprefix("Bearer ")},
            auth=(backends.client_id, backends.client_secret),
            timeout=PATIENCE,
        )
        return dict(json.loads(response.text))

    with gateway(config) as run:
        status = {
            name: http.get(
                f"{run.url}/orders", headers={"X-Tenant": name}, timeout=PATIENCE
            ).status_code
            for name in ("acme", "umbrella", "unlisted")
        }
    assert status == {"acme": 200, "umbrella": 200, "unlisted": 403}
    payload = [introspect(token) for token in backends.echo.tokens]
    assert [(each["client_id"], each["scope"]) for each in payload] == [
        (backends.client_id, "read"),
        (other["client_id"], "write"),
    ]


def test_completes_requests_in_progress_before_it_stops(backends: Backends) -> None:
    with gateway(backends.write()) as run:
        results: list[int] = []

        def send_request() -> None:
            while True:
                try:
                    response = requests.get(f"{run.url}/orders", headers=ACME, timeout=PATIENCE)
                except requests.ConnectionError:
                    return
                results.append(response.status_code)

        threads = [threading.Thread(target=send_request) for _ in range(4)]
        for thread in threads:
            thread.start()
        until(lambda: len(results) >= 20)
        assert run.stop() == 0
        for thread in threads:
            thread.join(PATIENCE)
    assert set(results) == {200}
    assert "Traceback" not in run.log


def test_telemetry_cannot_change_on_reload(backends: Backends, http: requests.Session) -> None:
    ports = '[gateway]\nlisten = "127.0.0.1:0"\nadmin = "127.0.0.1:0"\nhosts = ["x"]\n'
    tables = backends.provider() + backends.route()
    path = backends.write(f"{ports}telemetry = true\n{tables}")
    with gateway(path) as run:
        assert http.get(f"{run.url}/orders", headers=ACME, timeout=PATIENCE).status_code == 200
        backends.write(ports + tables)
        response = requests.post(f"{run.admin}/reload", timeout=PATIENCE)
        assert response.status_code == 400
        assert "telemetry cannot change while the gateway runs" in response.text


def test_reports_the_line_that_enables_unavailable_telemetry(
    backends: Backends, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = backends.write(f"[gateway]\ntelemetry = true\n{backends.provider()}{backends.route()}")
    monkeypatch.setitem(sys.modules, "grantway_plugins.telemetry", None)
    with pytest.raises(ConfigurationError, match=r"gateway\.toml.*2.*grantway\[telemetry\]"):
        serve(path)


def test_rejects_thousands_of_pipelined_requests_one_by_one(
    run: GatewayProcess, http: requests.Session
) -> None:
    count = 3000
    rejected = b"GET /x HTTP/1.1\r\nHost: evil.test\r\n\r\n"
    last = b"GET /x HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n"
    received = raw(run.url, rejected * count + last)
    assert received.count(b"HTTP/1.1 403 ") == count + 1
    assert "Traceback" not in run.log
    assert http.get(f"{run.url}/x", headers=ACME, timeout=PATIENCE).ok
