"""The connections to upstreams: reuse, lost connections, framing, and early responses."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
import requests

from tests.plugins.gateway.running.conftest import Backends
from tests.plugins.gateway.running.programs import PATIENCE, GatewayProcess, gateway
from tests.raw_http import read_all, read_request, read_response
from tests.waiting import until

ACME = {"X-Tenant": "acme"}
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Behaviour = Callable[["RawServer", socket.socket], None]


class RawServer:
    """A server that handles each connection with a function, in a thread.

    Attributes:
        requests: Every complete request.
        connections: Number of connections.
        released: Ends functions that wait.
    """

    def __init__(self, behave: Behaviour) -> None:
        self._behave = behave
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.requests: list[bytes] = []
        self.connections = 0
        self.released = threading.Event()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    def _accept(self) -> None:
        while True:
            opened, _ = self._listening.accept()
            if self.released.is_set():
                opened.close()
                return
            self.connections += 1
            self._threads.append(threading.Thread(target=self._handle, args=(opened,)))
            self._threads[-1].start()

    def _handle(self, opened: socket.socket) -> None:
        with opened, contextlib.suppress(ConnectionError):
            opened.settimeout(PATIENCE)
            self._behave(self, opened)

    def read(self, opened: socket.socket) -> bytes:
        """Read a request; nothing at the end of the connection."""
        request = read_request(opened)
        if request:
            self.requests.append(request)
        return request

    def close(self) -> None:
        """Stop accepting, and wait for the threads."""
        self.released.set()
        socket.create_connection(self._listening.getsockname()).close()
        self._threads[0].join(PATIENCE)
        self._listening.close()
        for each in self._threads[1:]:
            each.join(PATIENCE)


@contextmanager
def behind(
    backends: Backends, behave: Behaviour, **route: str
) -> Iterator[tuple[GatewayProcess, RawServer]]:
    """Run a gateway in front of a server."""
    server = RawServer(behave)
    try:
        config = backends.write(
            backends.provider() + backends.route(path='"/"', upstream=f'"{server.url}"', **route)
        )
        with gateway(config) as run:
            yield run, server
            assert "Traceback" not in run.log
    finally:
        server.close()


def raw(run: GatewayProcess, *pieces: bytes) -> bytes:
    """Send bytes, and return everything until the gateway closes the connection."""
    parts = urlsplit(run.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE) as opened:
        for each in pieces:
            with contextlib.suppress(ConnectionError):
                opened.sendall(each)
        return read_all(opened)


def answer_all(server: RawServer, opened: socket.socket) -> None:
    while server.read(opened):
        opened.sendall(OK)


def test_reuses_a_connection(backends: Backends, http: requests.Session) -> None:
    with behind(backends, answer_all) as (run, server):
        for method in ("GET", "POST", "HEAD", "DELETE") * 2:
            response = http.request(method, f"{run.url}/", headers=ACME, timeout=PATIENCE)
            assert response.status_code == 200
        # After HEAD, the server sends a body, which the gateway must not take for a response.
        assert server.connections == 3


def answer_once(server: RawServer, opened: socket.socket) -> None:
    """Respond to one request, and close the connection when the next one arrives."""
    if server.read(opened):
        opened.sendall(OK)
        server.read(opened)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_repeats_a_request_that_a_stale_connection_lost(
    backends: Backends, http: requests.Session, method: str
) -> None:
    with behind(backends, answer_once) as (run, server):
        for _ in range(3):
            response = http.request(
                method, f"{run.url}/", data=b"body", headers=ACME, timeout=PATIENCE
            )
            assert (response.status_code, response.text) == (200, "ok")
        assert len(server.requests) == 5
        assert all(each.endswith(b"body") for each in server.requests)


def test_never_repeats_a_post(backends: Backends, http: requests.Session) -> None:
    with behind(backends, answer_once) as (run, server):
        statuses = [
            http.post(f"{run.url}/", data=b"body", headers=ACME, timeout=PATIENCE).status_code
            for _ in range(4)
        ]
        assert statuses == [200, 502, 200, 502]
        assert len(server.requests) == 4


def test_sends_a_post_on_a_new_connection_if_the_old_one_was_closed(
    backends: Backends, http: requests.Session
) -> None:
    closed = 0

    def answer_and_close(server: RawServer, opened: socket.socket) -> None:
        nonlocal closed
        server.read(opened)
        opened.sendall(OK)
        opened.close()
        closed += 1

    with behind(backends, answer_and_close) as (run, server):
        for number in range(20):
            response = http.post(f"{run.url}/", data=b"body", headers=ACME, timeout=PATIENCE)
            assert response.status_code == 200
            until(lambda count=number + 1: closed == count)
        assert server.connections == 20


def test_gives_up_if_new_connections_are_closed_too(
    backends: Backends, http: requests.Session
) -> None:
    with behind(backends, RawServer.read) as (run, server):
        response = http.get(f"{run.url}/", headers=ACME, timeout=PATIENCE)
        assert response.status_code == 502
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    "head",
    [b"Content-Length: 11\r\nConnection: content-length\r\n", b"Content-Length: 11\r\n"],
)
def test_connection_headers_cannot_remove_the_length_of_a_body(
    backends: Backends, head: bytes
) -> None:
    request = b"POST / HTTP/1.1\r\nHost: x\r\nX-Tenant: acme\r\n" + head + b"\r\nGET / HTTP/"
    with behind(backends, answer_all) as (run, server):
        parts = urlsplit(run.url)
        with socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE) as opened:
            opened.sendall(request)
            assert read_response(opened).startswith(b"HTTP/1.1 200 ")
        (seen,) = server.requests
    assert b"content-length: 11\r\n" in seen
    assert seen.endswith(b"\r\n\r\nGET / HTTP/")


def test_a_response_keeps_its_length_if_connection_names_it(
    backends: Backends, http: requests.Session
) -> None:
    def answer(server: RawServer, opened: socket.socket) -> None:
        while server.read(opened):
            opened.sendall(OK.replace(b"\r\n\r\n", b"\r\nConnection: content-length, x-a\r\n\r\n"))

    with behind(backends, answer) as (run, _):
        for _ in range(2):
            response = http.get(f"{run.url}/", headers=ACME, timeout=PATIENCE)
            assert (response.headers["content-length"], response.text) == ("2", "ok")


def test_ignores_interim_responses(backends: Backends, http: requests.Session) -> None:
    hint = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"

    def answer(server: RawServer, opened: socket.socket) -> None:
        while server.read(opened):
            opened.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" + hint + OK)

    with behind(backends, answer) as (run, server):
        for _ in range(2):
            response = http.get(f"{run.url}/", headers=ACME, timeout=PATIENCE)
            assert (response.status_code, response.text) == (200, "ok")
            assert "link" not in response.headers
        assert server.connections == 1


@pytest.mark.parametrize("ending", [b"", b"Connection: close\r\n"])
def test_a_response_may_end_with_its_connection(
    backends: Backends, http: requests.Session, ending: bytes
) -> None:
    def answer(server: RawServer, opened: socket.socket) -> None:
        server.read(opened)
        opened.sendall(b"HTTP/1.1 200 OK\r\n" + ending + b"\r\n" + b"x" * 100_000)

    with behind(backends, answer) as (run, _):
        for _ in range(2):
            response = http.get(f"{run.url}/", headers=ACME, timeout=PATIENCE)
            assert len(response.text) == 100_000
        old = raw(run, b"GET / HTTP/1.0\r\nHost: x\r\nX-Tenant: acme\r\n\r\n")
    head, _, body = old.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head
    assert len(body) == 100_000


def test_passes_on_a_response_to_an_incomplete_request(backends: Backends) -> None:
    def reject(server: RawServer, opened: socket.socket) -> None:
        server.requests.append(opened.recv(65_536))
        opened.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        server.released.wait(PATIENCE)

    head = b"POST / HTTP/1.1\r\nHost: x\r\nX-Tenant: acme\r\nContent-Length: 200000\r\n\r\n"
    with behind(backends, reject) as (run, server):
        parts = urlsplit(run.url)
        with socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE) as opened:
            opened.sendall(head + b"x" * 1000)
            assert read_response(opened).startswith(b"HTTP/1.1 413 ")
        server.released.set()


def test_rejects_invalid_data_only_between_responses(backends: Backends) -> None:
    part = b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\npart"

    def begin(server: RawServer, opened: socket.socket) -> None:
        server.read(opened)
        opened.sendall(part)
        server.released.wait(PATIENCE)

    with behind(backends, begin) as (run, server):
        parts = urlsplit(run.url)
        with socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE) as opened:
            opened.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-Tenant: acme\r\n\r\n")
            received = b""
            while not received.endswith(b"part"):
                received += opened.recv(1000)
            opened.sendall(b"\x00\r\n\r\n")
            assert read_all(opened) == b""
        server.released.set()


def test_limits_the_time_for_which_an_upstream_reads_nothing(backends: Backends) -> None:
    def wait(server: RawServer, _opened: socket.socket) -> None:
        server.released.wait(PATIENCE)

    size = 9_000_000
    head = f"POST / HTTP/1.1\r\nHost: x\r\nX-Tenant: acme\r\nContent-Length: {size}\r\n\r\n"
    with behind(backends, wait, answer_timeout="0.5") as (run, server):
        response = raw(run, head.encode(), b"x" * size)
        server.released.set()
    assert response.startswith(b"HTTP/1.1 504 ")


@pytest.mark.slow
def test_a_slow_reader_does_not_make_the_gateway_store_the_response(backends: Backends) -> None:
    size, sent = 100_000_000, 0

    def flood(server: RawServer, opened: socket.socket) -> None:
        nonlocal sent
        server.read(opened)
        opened.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(100):
            opened.sendall(b"x" * (size // 100))
            sent += 1

    with behind(backends, flood, answer_timeout="4") as (run, _):
        parts = urlsplit(run.url)
        with socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE) as opened:
            opened.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-Tenant: acme\r\n\r\n")
            # Longer than answer_timeout: the pause is the client's, so it is no timeout.
            threading.Event().wait(6)
            assert 0 < sent < 60
            received = 0
            while received < size and (piece := opened.recv(1_000_000)):
                received += len(piece)
        assert received >= size


def test_a_reload_keeps_idle_connections(backends: Backends, http: requests.Session) -> None:
    with behind(backends, answer_all) as (run, server):
        http.get(f"{run.url}/", headers=ACME, timeout=PATIENCE)
        run.reload()
        run.wait_for("Configuration reloaded")
        http.get(f"{run.url}/", headers=ACME, timeout=PATIENCE)
        assert server.connections == 1
        assert run.stop() == 0
        until(lambda: len(server.requests) == 2)
