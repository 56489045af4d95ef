"""WebSockets through the gateway, with a real client and server."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from grantway_plugins.testing import WorkloadIssuer
from tests.certificates import Pki
from tests.faults import FaultServer, raw
from tests.interop.chromium import chromium
from tests.plugins.gateway.running.conftest import Backends
from tests.plugins.gateway.running.programs import PATIENCE, GatewayProcess, gateway
from tests.plugins.gateway.running.socket_client import (
    Use,
    hello,
    rejected_status,
    talk,
    use_websocket,
)
from tests.plugins.gateway.running.socket_servers import (
    ECHOED,
    FRAME,
    MIB,
    SocketServer,
    handshake,
    socket_server,
)
from tests.raw_http import read_all, read_response
from tests.waiting import until

PORTS = 'listen = "127.0.0.1:0"\nadmin = "127.0.0.1:0"\nhosts = ["x"]\n'


@pytest.fixture
def server() -> Iterator[SocketServer]:
    with socket_server() as running:
        yield running


def configuration(
    backends: Backends, url: str, limits: str = "", settings: str = "", **route: str
) -> Path:
    return backends.write(
        f"[gateway]\n{PORTS}{settings}\n[gateway.limits]\n{limits}\n"
        + backends.provider()
        + backends.route("chat", upstream=f'"{url}"', strip_path="true", **route)
    )


@contextmanager
def running(
    backends: Backends, url: str, limits: str = "", settings: str = "", **route: str
) -> Iterator[GatewayProcess]:
    with gateway(configuration(backends, url, limits, settings, **route)) as found:
        yield found
        assert "Traceback" not in found.log


def connect(run: GatewayProcess, use: Use, path: str = "", **headers: str) -> None:
    """Open a WebSocket through the gateway, and use it."""
    use_websocket(f"{run.url}/chat{path}", use, **headers)


def refused(run: GatewayProcess, path: str = "", **headers: str) -> int:
    """Return the status of a rejected handshake."""
    return rejected_status(f"{run.url}/chat{path}", **headers)


def open_socket(run: GatewayProcess) -> socket.socket:
    parts = urlsplit(run.url)
    return socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE)


def test_relays_messages_after_a_handshake_with_the_token(
    backends: Backends, server: SocketServer
) -> None:
    with running(backends, server.url) as run:
        connect(run, talk, "/room?x=1", Authorization="Bearer own", Cookie="a=1")
        (headers,) = server.handshakes
        until(lambda: server.ended == 1)
    assert headers["authorization"].startswith("Bearer gwa_")
    assert headers["cookie"] == "a=1"
    assert headers["x-forwarded-for"] == "127.0.0.1"
    assert headers["connection"].lower() == "upgrade"


def test_replaces_a_token_that_the_handshake_rejects(
    backends: Backends, server: SocketServer
) -> None:
    with running(backends, server.url) as run:
        connect(run, hello)
        server.rejected.add(server.handshakes[0]["authorization"])
        connect(run, hello)
    assert len({each["authorization"] for each in server.handshakes}) == 2
    assert len(server.handshakes) == 3


def test_passes_on_a_response_that_rejects_the_handshake(
    backends: Backends, server: SocketServer
) -> None:
    with running(backends, server.url) as run:
        assert refused(run, "/plain") == 200
        with open_socket(run) as opened:
            opened.sendall(handshake().replace(b"/chat", b"/chat/plain") + b"early data")
            response = read_all(opened)
    assert response.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in response
    assert response.endswith(b"no WebSocket here")


@pytest.mark.parametrize(
    "headers", [b"Upgrade: h2c\r\nConnection: upgrade\r\n", b"Upgrade: websocket\r\n"]
)
def test_rejects_another_protocol_of_the_upstream(backends: Backends, headers: bytes) -> None:
    other = b"HTTP/1.1 101 Switching Protocols\r\n" + headers + b"\r\n"
    with FaultServer(raw(other)) as upstream, running(backends, upstream.url) as run:
        assert refused(run) == 502


def test_removes_the_length_of_a_response_that_switches(backends: Backends) -> None:
    """RFC 9110 section 8.6: a 101 response has no Content-Length."""
    switching = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
    switching += b"Connection: upgrade\r\nContent-Length: 5\r\n\r\n"
    with (
        FaultServer(raw(switching + FRAME)) as upstream,
        running(backends, upstream.url) as run,
        open_socket(run) as opened,
    ):
        opened.sendall(handshake())
        head = read_response(opened)
        assert head.startswith(b"HTTP/1.1 101 ")
        assert b"content-length" not in head
        assert opened.recv(100) == FRAME


def test_forwards_data_that_arrives_with_the_handshake(
    backends: Backends, server: SocketServer
) -> None:
    with running(backends, server.url) as run, open_socket(run) as opened:
        opened.sendall(handshake() + FRAME)
        head = read_response(opened)
        assert head.startswith(b"HTTP/1.1 101 ")
        assert opened.recv(100) == ECHOED


def test_slow_readers_stop_the_sender(backends: Backends, server: SocketServer) -> None:
    async def stall(client: aiohttp.ClientWebSocketResponse) -> None:
        await client.send_str("flood")
        seen = -1
        while seen != server.sent:  # until all buffers on the way are full
            seen = server.sent
            await asyncio.sleep(0.5)
        assert seen < 40
        for _ in range(64):
            assert len(await client.receive_bytes()) == MIB
        await hello(client)

    with running(backends, server.url) as run:
        connect(run, stall)


@pytest.mark.slow
def test_closes_a_socket_that_is_idle_for_idle_timeout(
    backends: Backends, server: SocketServer
) -> None:
    async def idle(client: aiohttp.ClientWebSocketResponse) -> None:
        for _ in range(5):  # for longer than idle_timeout
            await hello(client)
            await asyncio.sleep(0.5)
        assert (await client.receive()).type is aiohttp.WSMsgType.CLOSED
        assert client.close_code == aiohttp.WSCloseCode.ABNORMAL_CLOSURE

    with running(backends, server.url, idle_timeout="2") as run:
        connect(run, idle)
        until(lambda: server.ended == 1)


def test_ends_the_upstream_connection_if_the_client_disconnects(
    backends: Backends, server: SocketServer
) -> None:
    with running(backends, server.url) as run:
        with open_socket(run) as opened:
            opened.sendall(handshake())
            assert read_response(opened).startswith(b"HTTP/1.1 101 ")
            assert server.ended == 0
        until(lambda: server.ended == 1)


def test_counts_as_requests_of_the_tenant(backends: Backends, server: SocketServer) -> None:
    async def occupy(client: aiohttp.ClientWebSocketResponse) -> None:
        await hello(client)
        assert await asyncio.to_thread(refused, run) == 503

    with running(backends, server.url, "requests_per_tenant = 1") as run:
        connect(run, occupy)
        until(lambda: server.ended == 1)
        connect(run, hello)


def test_stays_open_during_reloads_and_until_the_grace_period_ends(
    backends: Backends, server: SocketServer
) -> None:
    async def stay(client: aiohttp.ClientWebSocketResponse) -> None:
        await hello(client)
        run.reload()
        await asyncio.to_thread(run.wait_for, "Configuration reloaded")
        await hello(client)
        run.process.terminate()
        await asyncio.to_thread(run.wait_for, "the grace period is over")
        assert (await client.receive()).type is aiohttp.WSMsgType.CLOSED

    with running(backends, server.url, "grace_seconds = 1") as run:
        connect(run, stay)
        assert run.process.wait(PATIENCE) == 0


def test_verified_callers_use_websockets_over_tls(
    backends: Backends, server: SocketServer, tmp_path: Path
) -> None:
    pki = Pki(tmp_path)
    pki.install(pki.issue("gateway"))
    resource = "https://127.0.0.1/chat"
    with WorkloadIssuer() as workloads:
        config = backends.write(
            f'[gateway]\n{PORTS}[gateway.tls]\ncertificate = "server.pem"\nkey = "server.key"\n'
            f'[inbound]\nresource = "{resource}"\n[[inbound.issuer]]\nissuer = "{workloads.url}"\n'
            + backends.provider()
            + backends.route(
                "chat", upstream=f'"{server.url}"', tenant='"claim:org_id"', scopes='"chat"'
            )
        )

        def own(scope: str) -> str:
            claims = {"org_id": "acme", "scope": scope}
            token = workloads.token("ann", resource, header={"typ": "at+jwt"}, **claims)
            return f"Authorization: Bearer {token}"

        with gateway(config) as run:
            trust = ssl.create_default_context(cafile=str(pki.authority.certificate))

            def send(*lines: str) -> bytes:
                with (
                    open_socket(run) as plain,
                    trust.wrap_socket(plain, server_hostname="127.0.0.1") as opened,
                ):
                    opened.sendall(handshake(*lines) + FRAME)
                    head = read_response(opened)
                    return head + opened.recv(100) if b" 101 " in head else head

            assert send().startswith(b"HTTP/1.1 401 ")
            assert send(own("other")).startswith(b"HTTP/1.1 403 ")
            assert server.handshakes == []
            mine = own("chat")
            assert send(mine).endswith(b"\r\n\r\n" + ECHOED)
    (headers,) = server.handshakes
    assert headers["authorization"].startswith("Bearer gwa_")
    assert headers["authorization"] not in mine
    assert headers["x-forwarded-proto"] == "https"


@pytest.mark.parametrize(
    ("settings", "origin", "accepted"),
    [
        ("", "https://evil.example", False),
        ("", "null", False),
        ("", "http://localhost:3000", True),
        ('origins = ["https://app.example"]', "https://app.example", True),
        ('origins = ["https://app.example"]', "https://evil.example", False),
        ('origins = ["*"]', "https://evil.example", True),
    ],
)
def test_rejects_handshakes_of_other_sites(
    backends: Backends, server: SocketServer, settings: str, origin: str, accepted: bool
) -> None:
    with running(backends, server.url, settings=settings) as run:
        if accepted:
            connect(run, hello, Origin=origin)
        else:
            assert refused(run, Origin=origin) == 403
            assert server.handshakes == []


@pytest.mark.slow
def test_a_page_in_a_browser_uses_a_websocket(backends: Backends, server: SocketServer) -> None:
    script = """url => new Promise((resolve, reject) => {
        const socket = new WebSocket(url)
        socket.onopen = () => socket.send("hello")
        socket.onmessage = event => { resolve(event.data); socket.close() }
        socket.onerror = () => resolve("failed")
    })"""
    with running(backends, server.url, tenant='"single"') as run, chromium() as browser:
        url = f"{run.url.replace('http', 'ws')}/chat"
        page = browser.new_page()
        page.goto(f"{run.url}/chat/plain")
        assert page.evaluate(script, url) == "hello"
        assert server.handshakes[-1]["authorization"].startswith("Bearer gwa_")
        count = len(server.handshakes)
        page.route("https://evil.example/", lambda route: route.fulfill(body="<p>"))
        page.goto("https://evil.example/")
        assert page.evaluate(script, url) == "failed"
        assert len(server.handshakes) == count
