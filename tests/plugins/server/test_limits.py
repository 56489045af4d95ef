"""Limits of a listener."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from grantway._exceptions import ConfigurationError
from grantway_plugins.server import Limits
from grantway_plugins.server._listening.address import listen
from grantway_plugins.server._listening.connections import Connections
from grantway_plugins.server._listening.peers import PeerShares
from tests.plugins.server.listening import connect, echo, listening
from tests.raw_http import read_all, read_response
from tests.waiting import PATIENCE

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def answered(port: int) -> bool:
    """Return whether a new client gets a response."""
    with connect(port) as connection:
        connection.sendall(GET)
        return read_response(connection).startswith(b"HTTP/1.1 200 ")


def test_idle_connections_do_not_block_other_clients(caplog: pytest.LogCaptureFixture) -> None:
    with listening(echo, connections=10) as port, ExitStack() as silent:
        kept = [silent.enter_context(connect(port)) for _ in range(5)]
        kept[1].sendall(b"GET / HTTP/1.1\r\n")
        kept[2].sendall(GET)
        assert read_response(kept[2]).startswith(b"HTTP/1.1 200 ")
        for _ in range(30):
            silent.enter_context(connect(port))
            assert answered(port)
        assert read_all(kept[0]).startswith(b"HTTP/1.1 503 ")
        assert read_all(kept[1]).startswith(b"HTTP/1.1 503 ")
        assert read_all(kept[2]) == b""
    (record,) = caplog.records
    assert "maximum of 10 open connections" in record.message


def test_every_client_in_a_burst_gets_a_response() -> None:
    async def ask(port: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET)
        status = await asyncio.wait_for(reader.readline(), PATIENCE)
        writer.close()
        return status

    async def crowd(port: int) -> Counter[bytes]:
        return Counter(await asyncio.gather(*(ask(port) for _ in range(200))))

    with listening(echo, connections=20) as port:
        statuses = asyncio.run(crowd(port))
    assert set(statuses) <= {b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 503 Service Unavailable\r\n"}
    assert statuses[b"HTTP/1.1 200 OK\r\n"]


def test_keeps_a_connection_with_an_unread_request() -> None:
    connections = Connections(2, 10)
    slow_server, slow_client, other = _Waiting(unread=True), _Waiting(), _Waiting()
    for each in (slow_server, slow_client):
        assert connections.admit(each, "192.0.2.1") is None
        connections.await_header(each)
    assert connections.admit(other, "192.0.2.1") is None
    assert (slow_server.closed, slow_client.closed) == (False, True)
    assert connections.admit(_Waiting(), "192.0.2.1") == "too many connections"
    assert not slow_server.closed


class _Waiting:
    def __init__(self, *, unread: bool = False) -> None:
        self.closed, self._unread = False, unread

    def has_unread_request(self) -> bool:
        return self._unread

    def give_way(self) -> None:
        self.closed = True


def test_stalled_bodies_do_not_block_other_clients() -> None:
    begun = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhe"
    with listening(echo, connections=5) as port, ExitStack() as slow:
        oldest = slow.enter_context(connect(port))
        oldest.sendall(begun)
        for _ in range(10):
            slow.enter_context(connect(port)).sendall(begun)
            assert answered(port)
        assert read_all(oldest).startswith(b"HTTP/1.1 503 ")


class _Held:
    """An application that waits for the test before it responds."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.go_on = threading.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/held":
            self.begun.release()
            await asyncio.to_thread(self.go_on.wait)
        await echo(scope, receive, send)


def test_keeps_connections_with_a_request_in_progress() -> None:
    held = _Held()
    with listening(held, connections=3) as port, ExitStack() as opened:
        busy = [opened.enter_context(connect(port)) for _ in range(3)]
        opened.callback(held.go_on.set)
        for each in busy:
            each.sendall(b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n")
            assert held.begun.acquire(timeout=30)
        busy[0].sendall(b"GET / HTTP/1.1\r\n")  # the beginning of the next request
        with connect(port) as other:
            response = read_all(other)
        assert response.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1\r\n" in response
        held.go_on.set()
        for each in busy:
            assert read_response(each).startswith(b"HTTP/1.1 200 ")


@pytest.fixture
def hasty() -> Iterator[int]:
    with listening(echo, header_seconds=0.3, idle_seconds=1, header_bytes=2048) as port:
        yield port


def test_closes_a_connection_without_a_complete_header(hasty: int) -> None:
    with connect(hasty) as silent, connect(hasty) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\nHost:")
        assert read_all(silent) == b""
        assert read_all(slow).startswith(b"HTTP/1.1 408 ")


def test_closes_an_idle_connection(hasty: int) -> None:
    with connect(hasty) as idle:
        idle.sendall(GET)
        assert read_response(idle).startswith(b"HTTP/1.1 200 ")
        assert read_all(idle) == b""


def test_closes_a_connection_whose_client_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The unread part is small, so the operating system and asyncio could store all of it."""

    async def respond(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * 60_000})

    def small(host: str, port: int) -> socket.socket:
        opened = listen(host, port)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        return opened

    monkeypatch.setattr("tests.plugins.server.listening.listen", small)
    with (
        listening(respond, send_seconds=0.2, idle_seconds=0.1, header_seconds=0.1) as port,
        socket.socket() as slow,
    ):
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(PATIENCE)
        slow.connect(("127.0.0.1", port))
        slow.sendall(GET)
        threading.Event().wait(1)
        assert 0 < len(read_all(slow)) < 60_000


def test_the_time_limit_of_the_next_header_starts_after_the_response() -> None:
    held = _Held()
    with listening(held, header_seconds=0.2) as port, connect(port) as connection:
        connection.sendall(b"GET /held HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\n")
        assert held.begun.acquire(timeout=30)
        threading.Timer(0.5, held.go_on.set).start()
        assert read_response(connection).startswith(b"HTTP/1.1 200 ")
        assert read_all(connection).startswith(b"HTTP/1.1 408 ")


def test_rejects_an_endless_header(hasty: int) -> None:
    with connect(hasty) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nX: ")
        sent = 0
        with pytest.raises(ConnectionError):  # noqa: PT012 - whichever piece it is
            while sent < 100_000_000:
                sent += connection.send(b"a" * 65_536)
    assert answered(hasty)


@pytest.mark.parametrize(
    ("hosts", "counted"),
    [
        (["192.0.2.1", "192.0.2.1", "192.0.2.1"], 2),
        (["192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1"], 2),
        (["192.0.2.1", "192.0.2.2", "192.0.2.3"], 3),
        (["2001:db8::1", "2001:db8::2", "2001:db8::3"], 2),
        (["2001:db8:0:1::1", "2001:db8:0:2::1", "2001:db8:0:3::1"], 3),
        (["127.0.0.1", "127.0.0.1", "127.0.0.1"], 3),
        (["::1", "::1", "::1"], 3),
        (["10.1.2.3", "10.1.2.3", "10.1.2.3"], 3),
        (["proxy", "proxy", "proxy"], 3),
    ],
)
def test_limits_the_connections_of_one_peer(hosts: list[str], counted: int) -> None:
    connections = Connections(100, 2, ["10.0.0.0/8", "proxy"])
    admitted = [_Idle() for _ in hosts]
    refused = [connections.admit(each, host) for each, host in zip(admitted, hosts, strict=True)]
    assert refused.count(None) == counted
    for each in admitted:
        connections.remove(each)
        connections.remove(each)
    assert connections.admit(_Idle(), hosts[0]) is None


def test_a_peer_at_its_limit_does_not_close_connections_of_another() -> None:
    connections = Connections(3, 2)
    steady = _Idle()
    for host, each in (("192.0.2.1", steady), ("192.0.2.2", _Idle()), ("192.0.2.2", _Idle())):
        assert connections.admit(each, host) is None
        connections.await_header(each)
    for _ in range(5):
        assert connections.admit(_Idle(), "192.0.2.2") == "too many connections from this address"


def test_a_full_listener_does_not_count_rejected_connections() -> None:
    connections = Connections(1, 1)
    only = _Idle()
    assert connections.admit(only, "192.0.2.1") is None
    assert connections.admit(_Idle(), "192.0.2.2") == "too many connections"
    connections.remove(only)
    assert connections.admit(_Idle(), "192.0.2.2") is None


class _Idle:
    def has_unread_request(self) -> bool:
        raise AssertionError

    def give_way(self) -> None:
        raise AssertionError


def test_every_peer_is_exempt_if_every_proxy_is_trusted() -> None:
    assert PeerShares(1, ["*"]).key("192.0.2.1") is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("connections", 0),
        ("connections_per_peer", 0),
        ("header_bytes", 10),
        ("header_seconds", 0),
        ("idle_seconds", -1.0),
        ("send_seconds", float("nan")),
        ("grace_seconds", "10"),
    ],
)
def test_names_an_invalid_limit(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=name):
        Limits(**{name: value})


def test_logs_one_line_for_each_incident(caplog: pytest.LogCaptureFixture) -> None:
    connections = Connections(1, 1)
    assert connections.admit(_Idle(), "192.0.2.1") is None
    with caplog.at_level(logging.WARNING):
        for _ in range(1000):
            assert connections.admit(_Idle(), "192.0.2.2") == "too many connections"
    assert len(caplog.records) == 1
