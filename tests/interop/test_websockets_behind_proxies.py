"""WebSockets through real proxies, with the configurations that the gateway prints for them."""

from __future__ import annotations

import asyncio
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

import aiohttp
import pytest

from grantway_plugins.issuer import IssuerServer, IssuerSettings
from grantway_plugins.testing import WorkloadIssuer
from tests.faults import free_port
from tests.interop.proxies import printed
from tests.interop.test_gateway_behind_proxies import RUN
from tests.plugins.gateway.running.conftest import Backends, make_backends
from tests.plugins.gateway.running.programs import PATIENCE, EchoUpstream, gateway
from tests.plugins.gateway.running.socket_client import (
    ACME,
    hello,
    rejected_status,
    talk,
    use_websocket,
)
from tests.plugins.gateway.running.socket_servers import (
    ECHOED,
    FRAME,
    SocketServer,
    handshake,
    socket_server,
)
from tests.raw_http import read_all, read_response
from tests.waiting import until

pytestmark = pytest.mark.slow

PROXIES = ("nginx", "envoy", "envoy-grpc")
API = "https://api.example.com"
LISTED = "https://app.example.com"


@pytest.fixture(scope="module")
def running_server() -> Iterator[SocketServer]:
    with socket_server() as running:
        yield running


@pytest.fixture
def server(running_server: SocketServer) -> SocketServer:
    """Share a server that has seen no handshake yet and has no connection."""
    until(lambda: running_server.ended == running_server.opened)
    running_server.handshakes.clear()
    running_server.opened = running_server.ended = 0
    return running_server


class Recorder(socketserver.BaseRequestHandler):
    """Records all bytes that a server receives, and answers each request without an upgrade."""

    received: ClassVar[list[bytes]] = []

    def handle(self) -> None:
        while got := self.request.recv(65_536):
            self.received.append(got)
            answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
            self.request.sendall(answer * got.count(b"\r\n\r\n"))


@pytest.fixture(scope="module")
def recording() -> Iterator[str]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Recorder) as served:
        served.daemon_threads = True
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{served.server_address[1]}"
        served.shutdown()
        thread.join(PATIENCE)


@pytest.fixture
def recorder() -> type[Recorder]:
    """Share a recorder that has received nothing yet."""
    Recorder.received.clear()
    return Recorder


@pytest.fixture(scope="module")
def workloads() -> Iterator[WorkloadIssuer]:
    """Run the issuer of the callers' tokens on the route ``verified``."""
    with WorkloadIssuer() as running:
        yield running


@contextmanager
def behind(name: str, backends: Backends, tables: str) -> Iterator[str]:
    """Run a gateway and a proxy in front of it, and yield the address of the proxy."""
    port = free_port()
    config = backends.write(
        f'{tables}[authorize]\nlisten = "127.0.0.1:{free_port()}"\n'
        f'grpc_listen = "127.0.0.1:{free_port()}"\n'
    )
    text = printed(name, config, port)
    text = text.replace("/run/grantway-nginx", f"{backends.folder}/tokens")
    with gateway(config), RUN[name](backends.folder, text, port) as url:
        yield url


@pytest.fixture(scope="module", params=PROXIES)
def proxy(
    request: pytest.FixtureRequest,
    running_server: SocketServer,
    recording: str,
    workloads: WorkloadIssuer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    folder = tmp_path_factory.mktemp(request.param)
    with IssuerServer(IssuerSettings(registration="unrestricted")) as issuer:
        backends = make_backends(issuer, (EchoUpstream(), running_server.url), folder)
        tables = (
            f'[gateway]\nlisten = "127.0.0.1:0"\nadmin = "127.0.0.1:0"\n'
            f'hosts = ["listed.example.com"]\norigins = ["{LISTED}"]\n'
            + backends.provider()
            + backends.route("chat", anonymous="true")
            + backends.route("shared", anonymous="true", tenant='"single"')
            + backends.route("recorded", anonymous="true", upstream=f'"{recording}"')
            + backends.route("idle", anonymous="true", idle_timeout="2")
            + backends.route("verified", tenant='"claim:org_id"', scopes='"read"')
            + f'[inbound]\nresource = "{API}"\n[[inbound.issuer]]\nissuer = "{workloads.url}"\n'
        )
        with behind(request.param, backends, tables) as url:
            until(lambda: status(f"{url}/shared/plain") == 200)
            yield url


def status(url: str) -> int:
    async def main() -> int:
        async with aiohttp.ClientSession() as session, session.get(url, headers=ACME) as response:
            return response.status

    return asyncio.run(main())


def send(url: str, data: bytes) -> socket.socket:
    parts = urlsplit(url)
    connection = socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE)
    connection.sendall(data)
    return connection


@pytest.mark.parametrize("route", ["chat", "shared"])
def test_relays_messages_after_a_handshake_with_the_token(
    proxy: str, server: SocketServer, route: str
) -> None:
    use_websocket(f"{proxy}/{route}/room?x=1", talk, Authorization="Bearer own", Cookie="a=1")
    [headers] = server.handshakes
    until(lambda: server.ended == 1)
    assert headers["authorization"].startswith("Bearer gwa_")
    assert headers["cookie"] == "a=1"
    assert headers["connection"].lower() == "upgrade"
    assert "x-grantway-route" not in headers


def test_handshakes_and_other_requests_get_the_same_token(proxy: str, server: SocketServer) -> None:
    """Also if the proxy caches it."""
    for _ in range(3):
        assert status(f"{proxy}/chat/plain") == 200
        use_websocket(f"{proxy}/chat", hello)
    assert len(server.handshakes) == 6
    assert len({each["authorization"] for each in server.handshakes}) == 1
    assert "upgrade" not in server.handshakes[0]


def test_rejected_handshakes_reach_no_upstream(
    proxy: str, server: SocketServer, workloads: WorkloadIssuer
) -> None:
    def token(scope: str) -> str:
        header = {"typ": "at+jwt"}
        own = workloads.token("ann", API, header=header, org_id="acme", scope=scope)
        return f"Bearer {own}"

    assert rejected_status(f"{proxy}/chat", **{"X-Tenant": ""}) == 403
    assert rejected_status(f"{proxy}/verified") == 401
    assert rejected_status(f"{proxy}/verified", Authorization=token("other")) == 403
    assert rejected_status(f"{proxy}/nothing") == 404
    assert server.handshakes == []
    use_websocket(f"{proxy}/verified", hello, Authorization=token("read"))
    assert server.handshakes[0]["authorization"].startswith("Bearer gwa_")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "https://app.example.com.evil.example"},
        {"Origin": "https://evil.example", "X-Grantway-Route": "chat"},
        {"Origin": "https://evil.example", "X-Forwarded-Host": "evil.example"},
        {"Origin": "https://evil.example", "Host": "evil.example"},  # DNS rebinding
        {"Origin": "https://listed.example.com", "Host": "listed.example.com:8443"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
@pytest.mark.parametrize("route", ["chat", "shared"])
def test_rejects_handshakes_of_other_sites(
    proxy: str, server: SocketServer, route: str, headers: dict[str, str]
) -> None:
    assert status(f"{proxy}/{route}/plain") == 200  # caches a token
    server.handshakes.clear()
    assert rejected_status(f"{proxy}/{route}", **headers) == 403
    assert server.handshakes == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": LISTED, "Sec-Fetch-Site": "cross-site"},
        {"Origin": "https://listed.example.com", "Host": "listed.example.com"},
        {"Origin": "https://listed.example.com:8443", "Host": "listed.example.com:8443"},
        {"Host": "any.example.com"},
        {"Sec-Fetch-Site": "same-origin"},
    ],
)
def test_accepts_own_and_listed_pages_and_programs(
    proxy: str, server: SocketServer, headers: dict[str, str]
) -> None:
    use_websocket(f"{proxy}/chat", hello, **headers)
    assert len(server.handshakes) == 1


@pytest.mark.parametrize(
    "values", [{"Upgrade": "WebSocket"}, {"Connection": "keep-alive, Upgrade"}]
)
def test_accepts_the_spellings_of_browsers(proxy: str, values: dict[str, str]) -> None:
    with send(proxy, handshake(**values) + FRAME) as opened:
        assert read_response(opened).startswith(b"HTTP/1.1 101 ")
        assert opened.recv(100) == ECHOED


@pytest.mark.parametrize("name", [*PROXIES, "traefik", "caddy"])
def test_checks_pages_if_the_gateway_verifies_no_caller(
    name: str, server: SocketServer, tmp_path: Path
) -> None:
    """Envoy then sends only some headers to the gateway."""
    with IssuerServer(IssuerSettings(registration="unrestricted")) as issuer:
        backends = make_backends(issuer, (EchoUpstream(), server.url), tmp_path)
        tables = backends.provider() + backends.route("chat")
        with behind(name, backends, tables) as url:
            until(lambda: status(f"{url}/chat/plain") == 200)
            use_websocket(f"{url}/chat", hello, Origin=url)
            server.handshakes.clear()
            assert rejected_status(f"{url}/chat", Origin="https://evil.example") == 403
            assert rejected_status(f"{url}/chat", **{"Sec-Fetch-Site": "cross-site"}) == 403
            assert server.handshakes == []


def test_accepts_a_page_of_the_proxy_itself(proxy: str, server: SocketServer) -> None:
    use_websocket(f"{proxy}/chat", hello, Origin=proxy)
    assert len(server.handshakes) == 1


@pytest.mark.parametrize(
    "request_",
    [
        handshake(Upgrade="h2c"),
        handshake(Upgrade="h2c, websocket"),
        handshake(Upgrade="websocket, h2c"),
        handshake(Connection="close"),
        handshake(Connection="Upgrade, Authorization"),
        handshake(start="POST /chat HTTP/1.1"),
        handshake(start="GET /chat HTTP/1.0"),
        handshake("Content-Length: 2") + b"hi",
    ],
)
def test_other_upgrades_are_not_forwarded(
    proxy: str, server: SocketServer, request_: bytes
) -> None:
    with send(proxy, request_) as connection:
        assert not read_response(connection).startswith(b"HTTP/1.1 101 ")
    for headers in server.handshakes:
        assert "upgrade" not in headers
        assert headers["authorization"].startswith("Bearer gwa_")


def test_a_chunked_body_of_a_handshake_is_not_announced(proxy: str, server: SocketServer) -> None:
    """No tunnel opens in nginx; Envoy removes the header, and forwards the bytes as frames."""
    with send(proxy, handshake("Transfer-Encoding: chunked") + b"2\r\nhi\r\n0\r\n\r\n") as opened:
        read_response(opened)
    [headers] = server.handshakes
    assert not {"upgrade", "transfer-encoding"} <= headers.keys()
    assert headers["authorization"].startswith("Bearer gwa_")


@pytest.mark.parametrize("early", [True, False], ids=["at once", "later"])
@pytest.mark.parametrize("tenant", ["acme", ""], ids=["upstream", "gateway"])
def test_bytes_after_a_rejected_handshake_are_not_tunnelled(
    proxy: str, recorder: type[Recorder], tenant: str, early: bool
) -> None:
    """Neither if the gateway rejects the handshake nor if the upstream does."""
    first = handshake(start="GET /recorded HTTP/1.1").replace(b"acme", tenant.encode())
    second = b"GET /smuggled HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with send(proxy, first + second * early) as opened:
        expected = b"HTTP/1.1 200 " if tenant else b"HTTP/1.1 403 "
        assert read_response(opened).startswith(expected)
        if not early:
            with suppress(ConnectionError):  # the proxy may have closed it
                opened.sendall(second)
        with suppress(OSError):
            opened.shutdown(socket.SHUT_WR)
        read_all(opened)
    assert status(f"{proxy}/recorded") == 200  # on the connection of the handshake, if it is open
    received = b"".join(recorder.received)
    assert b"smuggled" not in received
    assert received.count(b"GET /recorded") == 1 + bool(tenant)


def test_forwards_data_that_arrives_with_the_handshake(proxy: str) -> None:
    with send(proxy, handshake() + FRAME) as connection:
        assert read_response(connection).startswith(b"HTTP/1.1 101 ")
        assert connection.recv(100) == ECHOED


def test_closes_a_socket_that_is_idle_for_idle_timeout(proxy: str, server: SocketServer) -> None:
    async def idle(client: aiohttp.ClientWebSocketResponse) -> None:
        for _ in range(5):  # for longer than idle_timeout
            await hello(client)
            await asyncio.sleep(0.5)
        assert (await client.receive()).type is aiohttp.WSMsgType.CLOSED
        assert client.close_code == aiohttp.WSCloseCode.ABNORMAL_CLOSURE

    use_websocket(f"{proxy}/idle", idle)
    until(lambda: server.ended == 1)


def test_ends_the_upstream_connection_if_the_client_disconnects(
    proxy: str, server: SocketServer
) -> None:
    with send(proxy, handshake()) as connection:
        assert read_response(connection).startswith(b"HTTP/1.1 101 ")
        assert server.ended == 0
    until(lambda: server.ended == 1)
