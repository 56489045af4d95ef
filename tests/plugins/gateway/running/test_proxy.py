"""Requests through the gateway, to what is behind it and back."""

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

import aiohttp
import pytest
import requests
from aiohttp.abc import AbstractResolver

from grantway._exceptions import ConfigurationError
from grantway_grants.device_code import GRANT_TYPE as DEVICE_CODE
from grantway_plugins.gateway import hash_secret
from grantway_plugins.gateway._running.proxy import Target, open_session
from grantway_plugins.gateway._running.server import serve
from grantway_plugins.issuer import IssuerServer
from tests.faults import free_port
from tests.plugins.gateway.running.conftest import Behind, surroundings
from tests.plugins.gateway.running.programs import PATIENCE, Echo, GatewayProcess, gateway
from tests.raw_http import read_all, read_response
from tests.waiting import until

ACME = {"X-Tenant": "acme"}
CONNECTIONS = 40


def raw(url: str, request: bytes) -> bytes:
    """All that a gateway says to some bytes, until it ends the connection."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE) as opened:
        # The gateway may refuse a request, and end the connection, before it has read all of it.
        with suppress(ConnectionError):
            opened.sendall(request)
        return read_all(opened)


def configuration(behind: Behind, patience: float) -> Path:
    """Write the file of a gateway that waits so many seconds for its callers."""
    return behind.write(
        behind.provider()
        + behind.route(path='"/"')
        + behind.route("api", upstream=f'"{behind.url}/base"', strip_path="true", keep_host="true")
        + behind.route("nobody", upstream=f'"http://127.0.0.1:{free_port()}"')
        + behind.route("hasty", upstream=f'"{behind.url}"', strip_path="true", answer_timeout="0.3")
        + behind.route("elsewhere", host='"other.example.com"', path='"/"', tenant='"single"')
        + "[gateway.limits]\nbody_bytes = 300000\nheader_bytes = 4096\n"
        + f"header_seconds = {patience}\nbody_seconds = {patience}\n"
        f"send_seconds = {patience}\nconnections = {CONNECTIONS}\n"
        '[gateway]\nlisten = "127.0.0.1:0"\nadmin = "127.0.0.1:0"\nhosts = ["x"]\n'
    )


@pytest.fixture(scope="module")
def patient(
    issuer: IssuerServer, echoing: tuple[Echo, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    behind = surroundings(issuer, echoing, tmp_path_factory.mktemp("patient"))
    with gateway(configuration(behind, PATIENCE)) as running:
        yield running


@pytest.fixture(scope="module")
def impatient(
    issuer: IssuerServer, echoing: tuple[Echo, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    behind = surroundings(issuer, echoing, tmp_path_factory.mktemp("impatient"))
    with gateway(configuration(behind, 1.0)) as running:
        yield running


@pytest.fixture
def run(patient: GatewayProcess, behind: Behind) -> GatewayProcess:
    """Share a gateway that waits for slow callers; the echo behind it has seen nothing yet."""
    return patient


@pytest.fixture
def hasty(impatient: GatewayProcess, behind: Behind) -> GatewayProcess:
    """Share a gateway that waits one second for slow callers."""
    return impatient


def test_a_request_and_its_answer(
    run: GatewayProcess, behind: Behind, http: requests.Session
) -> None:
    answer = http.put(
        f"{run.url}/a%20b/c?x=%2F&y=ü",
        data=b"\x00\xff body",
        headers={
            **ACME,
            "Authorization": "Bearer of-the-caller",
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
    assert answer.status_code == 200
    told = answer.json()
    headers = dict(told["headers"])
    assert (told["method"], told["path"], told["query"]) == ("PUT", "/a%20b/c", "x=%2F&y=%C3%BC")
    assert told["body"] == "\x00\xff body"
    assert headers["authorization"].startswith("Bearer gwa_")
    assert headers["host"] == urlsplit(behind.url).netloc
    assert headers["x-name"].encode("latin-1").decode() == "Jürgen"
    assert headers["x-forwarded-for"] == "127.0.0.1"
    assert headers["x-forwarded-proto"] == "http"
    assert headers["x-forwarded-host"] == urlsplit(run.url).netloc
    assert headers["via"] == "1.1 grantway"
    assert not {"x-private", "te", "forwarded"} & headers.keys()
    assert answer.headers["via"] == "1.1 grantway"
    assert "x-hop" not in answer.headers
    assert answer.raw.headers.getlist("set-cookie") == ["a=1", "b=2"]


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


def test_headers_about_a_requests_origin_pass_from_trusted_peers_only(
    run: GatewayProcess, http: requests.Session
) -> None:
    spoofed = dict.fromkeys([*SPOOFED, *MISSPELLED], "6.6.6.6")
    answer = http.get(f"{run.url}/", headers={**ACME, **spoofed, "X_Other": "1"}, timeout=PATIENCE)
    headers = dict(answer.json()["headers"])
    assert not {name.lower() for name in spoofed} & headers.keys()
    assert "6.6.6.6" not in headers.values()
    assert (headers["x-tenant"], headers["x_other"]) == ("acme", "1")


def test_where_routes_lead(run: GatewayProcess, behind: Behind, http: requests.Session) -> None:
    def path(address: str, **headers: str) -> str:
        answer = http.get(f"{run.url}{address}", headers={**ACME, **headers}, timeout=PATIENCE)
        return str(answer.json()["path"])

    assert path("/api/x") == "/base/x"
    assert path("/api") == "/base/"
    assert path("/apix") == "/apix"
    assert dict(behind.echo.requests[0]["headers"])["host"] == urlsplit(run.url).netloc
    assert path("/api/x", host="other.example.com") == "/api/x"
    tokens = behind.echo.tokens
    assert tokens[0] == tokens[1] == tokens[2]
    assert tokens[3] != tokens[0]  # another tenant: everybody of that route


@pytest.mark.parametrize("path", ["/chunked", "/status/204", "/status/304", "/status/404"])
def test_answers_of_every_shape(run: GatewayProcess, http: requests.Session, path: str) -> None:
    for method in ("GET", "HEAD"):
        answer = http.request(method, f"{run.url}{path}", headers=ACME, timeout=PATIENCE)
        assert answer.status_code == int(path.rpartition("/")[2]) if "status" in path else 200


def test_bodies_are_streamed(run: GatewayProcess, http: requests.Session) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(25):
            yield b"x" * 10_000

    chunked = http.post(f"{run.url}/", data=pieces(), headers=ACME, timeout=PATIENCE)
    assert len(chunked.json()["body"]) == 250_000
    sized = http.post(f"{run.url}/", data=b"y" * 250_000, headers=ACME, timeout=PATIENCE)
    assert len(sized.json()["body"]) == 250_000


def test_a_body_that_is_too_large(run: GatewayProcess, http: requests.Session) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(50):
            yield b"x" * 10_000

    too_much = http.post(f"{run.url}/", data=b"y" * 300_001, headers=ACME, timeout=PATIENCE)
    assert (too_much.status_code, too_much.headers["connection"]) == (413, "close")
    with requests.Session() as other:
        assert other.post(f"{run.url}/", data=pieces(), headers=ACME).status_code == 413
    assert http.get(f"{run.url}/", headers=ACME, timeout=PATIENCE).status_code == 200


@pytest.mark.parametrize("head", [b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_a_body_that_is_too_slow(hasty: GatewayProcess, head: bytes) -> None:
    said = raw(hasty.url, b"POST / HTTP/1.1\r\nHost: x\r\nX-Tenant: acme\r\n" + head + b"\r\n")
    assert said.startswith(b"HTTP/1.1 408 "), said
    assert requests.get(f"{hasty.url}/", headers=ACME, timeout=PATIENCE).status_code == 200


def test_nobody_there_and_nobody_quick(run: GatewayProcess, http: requests.Session) -> None:
    nobody = http.get(f"{run.url}/nobody/x", headers=ACME, timeout=PATIENCE)
    assert (nobody.status_code, nobody.json()["error"]) == (502, "bad_gateway")
    hasty = http.get(f"{run.url}/hasty/slow", headers=ACME, timeout=PATIENCE)
    assert (hasty.status_code, hasty.json()["error"]) == (504, "gateway_timeout")
    # On a busy machine the next answer may come too late as well, but not every one.
    until(lambda: http.get(f"{run.url}/hasty/x", headers=ACME, timeout=PATIENCE).ok)


def test_a_name_that_is_looked_up_for_too_long() -> None:
    class Silent(AbstractResolver):
        async def resolve(self, *_asked: Any, **_options: Any) -> Any:
            await asyncio.Event().wait()

        async def close(self) -> None:
            pass

    route = {"upstream": "https://orders.test", "path": "/", "strip_path": False}
    limits = {"keep_host": False, "connect_timeout": 0.05, "answer_timeout": PATIENCE}
    target = Target.of({**route, **limits})
    assert target is not None

    async def ask() -> None:
        async with open_session() as session:
            assert isinstance(session.connector, aiohttp.TCPConnector)
            session.connector._resolver = Silent()
            await session.get(target.url("/", ""), timeout=target.timeout)

    with pytest.raises(aiohttp.ConnectionTimeoutError):
        asyncio.run(asyncio.wait_for(ask(), PATIENCE))


def test_an_answer_that_is_cut_is_seen_to_be_cut(
    run: GatewayProcess, http: requests.Session
) -> None:
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        http.get(f"{run.url}/cut", headers=ACME, timeout=PATIENCE)


def test_who_goes_away_stops_what_is_behind(run: GatewayProcess, behind: Behind) -> None:
    parts = urlsplit(run.url)
    with socket.create_connection((parts.hostname, parts.port)) as opened:
        opened.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\nX-Tenant: acme\r\n\r\n")
        assert not behind.echo.gone.wait(0.2)
    assert behind.echo.gone.wait(PATIENCE)


def test_who_does_not_take_the_answer_stops_what_is_behind(
    hasty: GatewayProcess, behind: Behind
) -> None:
    parts = urlsplit(hasty.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE) as opened:
        opened.sendall(b"GET /endless HTTP/1.1\r\nHost: x\r\nX-Tenant: acme\r\n\r\n")
        assert behind.echo.gone.wait(PATIENCE)
        end = b""
        with suppress(ConnectionResetError):
            while piece := opened.recv(1_000_000):
                end = piece
    assert not end.endswith(b"0\r\n\r\n")  # it is seen that the answer is not whole


@pytest.mark.parametrize(
    ("line", "headers", "status"),
    [
        (b"TRACE / HTTP/1.1", b"Connection: close\r\n", b"501"),
        (b"CONNECT x:1 HTTP/1.1", b"", b"501"),
        (b"GET / HTTP/1.1", b"Connection: upgrade\r\nUpgrade: websocket\r\n", b"501"),
        (b"GET / HTTP/1.1", b"Expect: the-moon\r\n", b"417"),
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
def test_what_is_not_passed_on(
    run: GatewayProcess, behind: Behind, line: bytes, headers: bytes, status: bytes
) -> None:
    said = raw(run.url, line + b"\r\nHost: x\r\nX-Tenant: acme\r\n" + headers + b"\r\n")
    assert said.startswith(b"HTTP/1.1 " + status + b" "), said
    assert behind.echo.requests == []


def test_expecting_100_continue(run: GatewayProcess) -> None:
    parts = urlsplit(run.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE) as opened:
        opened.sendall(
            b"POST / HTTP/1.1\r\nHost: x\r\nX-Tenant: acme\r\nContent-Length: 2\r\n"
            b"Expect: 100-continue\r\n\r\n"
        )
        assert read_response(opened).startswith(b"HTTP/1.1 100 ")
        opened.sendall(b"hi")
        assert read_response(opened).startswith(b"HTTP/1.1 200 OK\r\n")


def test_callers_who_say_nothing_are_ended_and_others_are_served(hasty: GatewayProcess) -> None:
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
            said = read_all(each)
            assert said.startswith(b"HTTP/1.1 408 ") if each in silent[:10] else said == b""
    finally:
        for each in silent:
            each.close()


@pytest.mark.usefixtures("many_files")
def test_a_thousand_callers_who_say_nothing(hasty: GatewayProcess) -> None:
    parts = urlsplit(hasty.url)
    silent = [socket.create_connection((parts.hostname, parts.port)) for _ in range(1000)]
    try:
        for each in silent:
            each.settimeout(PATIENCE)
            read_all(each)  # 503, or nothing
    finally:
        for each in silent:
            each.close()
    # A connection counts until the gateway has seen its end, which is after the caller has.
    answer = until(
        lambda: requests.get(f"{hasty.url}/", headers=ACME, timeout=PATIENCE),
        lambda found: found.status_code != 503,
    )
    assert answer.status_code == 200


def test_a_token_that_is_refused_behind_the_gateway_is_replaced_once_for_all(
    run: GatewayProcess, behind: Behind, http: requests.Session
) -> None:
    mine = {"X-Tenant": "refused"}
    http.get(f"{run.url}/", headers=mine, timeout=PATIENCE)
    refused = behind.echo.tokens[0]
    behind.echo.refuse.add(refused)

    def post(_number: int) -> int:
        return requests.post(
            f"{run.url}/", data=b"again", headers=mine, timeout=PATIENCE
        ).status_code

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(post, range(8))) == {200}
    assert len({each for each in behind.echo.tokens if each != refused}) == 1
    assert all(each["body"] == "again" for each in behind.echo.requests[1:])


def test_no_tenant_no_route(run: GatewayProcess, behind: Behind, http: requests.Session) -> None:
    assert http.get(f"{run.url}/", timeout=PATIENCE).status_code == 403
    assert http.get(f"{run.url}/", headers={"X-Tenant": "a b"}, timeout=PATIENCE).status_code == 400
    assert behind.echo.requests == []


def test_tenants_never_share(run: GatewayProcess, behind: Behind) -> None:
    def ask(number: int) -> tuple[str, str]:
        tenant = f"t{number % 20}"
        answer = requests.get(f"{run.url}/", headers={"X-Tenant": tenant}, timeout=PATIENCE)
        return tenant, dict(answer.json()["headers"])["authorization"]

    with ThreadPoolExecutor(8) as threads:
        seen = list(threads.map(ask, range(100)))
    assert len(set(seen)) == 20
    assert len({token for _, token in seen}) == 20


def test_two_proxies_in_a_row(behind: Behind, http: requests.Session) -> None:
    text = behind.provider() + behind.route(path='"/"')
    trusting = (
        '[gateway]\nlisten = "127.0.0.1:0"\nadmin = "127.0.0.1:0"\n'
        'trusted_proxies = ["127.0.0.0/8"]\n'
    )
    with gateway(behind.write(trusting + text)) as second:
        answer = http.get(
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
    headers = dict(answer.json()["headers"])
    assert headers["x-forwarded-for"] == "9.9.9.9, 127.0.0.1"
    assert headers["x-forwarded-proto"] == "https"
    assert headers["x-forwarded-host"] == "shop.example.com"
    assert headers["via"] == "1.0 edge, 1.1 grantway"
    assert (headers["x-real-ip"], headers["x-forwarded-port"]) == ("9.9.9.9", "443")
    assert not {"x_forwarded_for", "x_real_ip"} & headers.keys()


def test_a_callers_token_is_kept_or_exchanged(behind: Behind, http: requests.Session) -> None:
    config = behind.write(
        behind.provider()
        + behind.route("kept", incoming='"keep"')
        + behind.route("exchanged", incoming='"exchange"')
    )
    own = {**ACME, "Authorization": "Bearer of-the-caller"}
    with gateway(config) as run:
        kept = http.get(f"{run.url}/kept", headers=own, timeout=PATIENCE).json()
        assert dict(kept["headers"])["authorization"] == "Bearer of-the-caller"
        refused = http.get(f"{run.url}/exchanged", headers=own, timeout=PATIENCE)
        assert refused.status_code == 401
        assert "invalid_token" in refused.headers["www-authenticate"]
        got = requests.post(
            f"{behind.issuer.url}/token",
            data={"grant_type": "client_credentials"},
            auth=(behind.client_id, behind.client_secret),
            timeout=PATIENCE,
        ).json()["access_token"]
        good = {**ACME, "Authorization": f"Bearer {got}"}
        exchanged = http.get(f"{run.url}/exchanged", headers=good, timeout=PATIENCE)
        assert exchanged.status_code == 200, exchanged.text
        carried = dict(exchanged.json()["headers"])["authorization"]
        assert carried.startswith("Bearer gwa_")
        assert carried != f"Bearer {got}"


def test_the_gateways_own_token_endpoint(behind: Behind, http: requests.Session) -> None:
    secret = "shop-very-secret-0123456789"
    config = behind.write(
        behind.provider()
        + behind.route(path='"/"')
        + '[token_endpoint]\nprovider = "idp"\nallow = ["client_credentials", '
        + f'"{DEVICE_CODE}"]\nclients = {{shop = "{hash_secret(secret)}"}}\n'
    )
    with gateway(config) as run:
        answer = http.post(
            f"{run.url}/token",
            data={"grant_type": "client_credentials", "scope": "read"},
            auth=("shop", secret),
            timeout=PATIENCE,
        )
        assert (answer.status_code, answer.json()["scope"]) == (200, "read")
        stranger = http.post(
            f"{run.url}/token", data={"grant_type": "client_credentials"}, timeout=PATIENCE
        )
        assert stranger.json()["error"] == "invalid_client"
        begun = http.post(
            f"{run.url}/device_authorization", auth=("shop", secret), timeout=PATIENCE
        )
        assert begun.status_code == 200, begun.text
        assert begun.json()["device_code"].startswith("gwb1.")
        redeemed = http.post(
            f"{run.url}/token",
            data={"grant_type": DEVICE_CODE, "device_code": begun.json()["device_code"]},
            auth=("shop", secret),
            timeout=PATIENCE,
        )
        assert redeemed.json().get("error") in {None, "authorization_pending"}


def test_listed_tenants_with_clients_and_scopes_of_their_own(
    behind: Behind, http: requests.Session
) -> None:
    other = behind.register()
    config = behind.write(
        behind.provider()
        + behind.route(more='tenants = "listed"\nscope = ["read"]\n')
        + "[tenants.acme]\n[tenants.umbrella.idp]\n"
        + f'client_id = "{other["client_id"]}"\nclient_secret = "{other["client_secret"]}"\n'
        + 'scope = ["write"]\n'
    )

    def about(token: str) -> dict[str, Any]:
        answer = requests.post(
            f"{behind.issuer.url}/introspect",
            data={"token": token.removeprefix("Bearer ")},
            auth=(behind.client_id, behind.client_secret),
            timeout=PATIENCE,
        )
        return dict(json.loads(answer.text))

    with gateway(config) as run:
        status = {
            name: http.get(
                f"{run.url}/orders", headers={"X-Tenant": name}, timeout=PATIENCE
            ).status_code
            for name in ("acme", "umbrella", "stranger")
        }
    assert status == {"acme": 200, "umbrella": 200, "stranger": 403}
    told = [about(token) for token in behind.echo.tokens]
    assert [(each["client_id"], each["scope"]) for each in told] == [
        (behind.client_id, "read"),
        (other["client_id"], "write"),
    ]


def test_it_ends_when_it_is_told_and_finishes_what_it_began(behind: Behind) -> None:
    with gateway(behind.write()) as run:
        results: list[int] = []

        def ask() -> None:
            while True:
                try:
                    answer = requests.get(f"{run.url}/orders", headers=ACME, timeout=PATIENCE)
                except requests.ConnectionError:
                    return
                results.append(answer.status_code)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        until(lambda: len(results) >= 20)
        assert run.stop() == 0
        for thread in threads:
            thread.join(PATIENCE)
    assert set(results) == {200}
    assert "Traceback" not in run.log


def test_spans_and_metrics_are_made_where_the_file_says_so(
    behind: Behind, http: requests.Session
) -> None:
    ports = '[gateway]\nlisten = "127.0.0.1:0"\nadmin = "127.0.0.1:0"\nhosts = ["x"]\n'
    tables = behind.provider() + behind.route()
    path = behind.write(f"{ports}telemetry = true\n{tables}")
    with gateway(path) as run:
        assert http.get(f"{run.url}/orders", headers=ACME, timeout=PATIENCE).status_code == 200
        behind.write(ports + tables)
        answer = requests.post(f"{run.admin}/reload", timeout=PATIENCE)
        assert answer.status_code == 400
        assert "telemetry cannot change while the gateway runs" in answer.text


def test_telemetry_without_its_library_is_told_at_its_line(
    behind: Behind, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = behind.write(f"[gateway]\ntelemetry = true\n{behind.provider()}{behind.route()}")
    monkeypatch.setitem(sys.modules, "grantway_plugins.telemetry", None)
    with pytest.raises(ConfigurationError, match=r"gateway\.toml.*2.*grantway\[telemetry\]"):
        serve(path)
