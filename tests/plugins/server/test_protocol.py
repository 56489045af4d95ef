"""HTTP/1.1 with upgrade offers, and HTTP/1.0 clients."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn

from grantway_plugins.server import HttpProtocol
from grantway_plugins.server._listening.address import listen
from tests.plugins.server.listening import connect, echo, in_pieces, listening
from tests.raw_http import read_all, read_response
from tests.waiting import PATIENCE

H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"


@contextmanager
def uvicorn_with(http: Any) -> Iterator[int]:
    """Serve the echo application with plain uvicorn and a given protocol."""
    opened = listen("127.0.0.1", 0)
    port = opened.getsockname()[1]
    server = uvicorn.Server(
        uvicorn.Config(echo, http=http, ws="none", lifespan="off", log_config=None)
    )
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[opened])))
    thread.start()
    try:
        yield port
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
    assert not thread.is_alive()


@pytest.fixture(
    scope="module", params=["listener", "grantway_plugins.server:HttpProtocol", HttpProtocol, "h11"]
)
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    """Each kind of server that keeps the body of a request with an upgrade offer."""
    server = listening(echo) if request.param == "listener" else uvicorn_with(request.param)
    with server as found:
        yield found


def body_of(response: bytes) -> bytes:
    head, _, body = response.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), response
    return body


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 5\r\n\r\nhello",
        b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    ],
    ids=["length", "chunked"],
)
@pytest.mark.parametrize(
    "offer",
    [
        H2C,
        b"Upgrade: h2c\r\nConnection: HTTP2-Settings,upgrade , keep-alive\r\nHTTP2-Settings:\r\n",
        b"Connection: upgrade\r\nUpgrade: TLS/1.0, h2c\r\n",
        b"connection: keep-alive\r\nconnection: UPGRADE\r\nUPGRADE: something/2\r\n",
        b"Upgrade: h2c\r\n",
    ],
)
def test_keeps_the_body_of_a_request_with_an_upgrade_offer(
    port: int, offer: bytes, body: bytes
) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nX-Kept: 1\r\n" + offer
    with connect(port) as connection:
        connection.sendall(head + body)
        assert body_of(read_response(connection)).startswith(b"POST hello ")
        # In pieces, as a network may deliver it.
        for piece in (head[:20], head[20:] + body[:3], body[3:-4], body[-4:]):
            connection.sendall(piece)
        response = body_of(read_response(connection))
        assert response.startswith(b"POST hello ")
        assert b"x-kept" in response
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert body_of(read_response(connection)).startswith(b"GET  ")


@pytest.fixture(scope="module")
def bounded() -> Iterator[int]:
    with listening(echo) as found:
        yield found


def test_the_application_does_not_see_the_offer(bounded: int) -> None:
    with connect(bounded) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n" + H2C + b"\r\n")
        assert body_of(read_response(connection)) == b"GET  [host]"


def test_responds_to_many_upgrade_offers_in_one_packet(bounded: int) -> None:
    request = b"POST / HTTP/1.1\r\nHost: x\r\n" + H2C + b"Content-Length: 1\r\n\r\nx"
    with connect(bounded) as connection:
        connection.sendall(request * 500)
        for _ in range(500):
            assert body_of(read_response(connection)).startswith(b"POST x ")


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: 3\r\nContent-Length: 4\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"X : y\r\n",
    ],
)
def test_rejects_an_invalid_request_with_an_upgrade_offer(bounded: int, lines: bytes) -> None:
    with connect(bounded) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\n" + H2C + lines + b"\r\nabc")
        assert read_all(connection).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("offer", [b"", H2C])
@pytest.mark.parametrize(
    "lines",
    [
        b"Host: y\r\nContent-Length: 3\r\n",
        b"Host: x\r\nContent-Length: 3\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
    ],
)
def test_rejects_two_hosts_and_unknown_codings(bounded: int, lines: bytes, offer: bytes) -> None:
    with connect(bounded) as connection:
        head = b"POST / HTTP/1.1\r\nHost: x\r\n" + offer + lines
        connection.sendall(head + b"\r\n3\r\nabc\r\n0\r\n\r\n")
        response = read_all(connection)
    assert response.startswith(b"HTTP/1.1 400 ")
    assert response.count(b"HTTP/1.1 ") == 1


def test_rejects_a_tunnel_without_reading_further(bounded: int) -> None:
    with connect(bounded) as connection:
        tunnel = b"CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n"
        connection.sendall(tunnel + b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        response = read_all(connection)
    assert response.startswith(b"HTTP/1.1 501 ")
    assert response.count(b"HTTP/1.1 ") == 1


@pytest.fixture(scope="module")
def streaming() -> Iterator[int]:
    with listening(in_pieces) as found:
        yield found


@pytest.mark.parametrize("keep", [b"", b"Connection: keep-alive\r\n"])
def test_an_http_1_0_response_is_not_chunked(streaming: int, keep: bytes) -> None:
    with connect(streaming) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n" + keep + b"\r\n")
        head, _, body = read_all(connection).partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head.lower()
    assert b"connection: close" in head.lower()
    assert body == b"piece piece piece end"


def test_an_http_1_0_client_can_detect_a_truncated_response(streaming: int) -> None:
    with connect(streaming) as connection:
        connection.sendall(b"GET /broken HTTP/1.0\r\n\r\n")
        with pytest.raises(ConnectionResetError):  # noqa: PT012 - whichever read it is
            while connection.recv(65_536):
                pass


def test_an_http_1_1_response_is_chunked(streaming: int) -> None:
    with connect(streaming) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"transfer-encoding: chunked" in read_response(connection)
