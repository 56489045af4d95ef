"""A small HTTP proxy that supports CONNECT and plain requests, and records its targets."""

from __future__ import annotations

import base64
import contextlib
import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import urlsplit

from tests.waiting import PATIENCE


class Proxy(ThreadingHTTPServer):
    """Forwards requests, or responds to every request with ``status``.

    Attributes:
        asked: The targets, in order.
        login: Required credentials as ``USER:PASSWORD``, or None.
        status: Status to return instead of forwarding, or None.
        routes: Addresses of hosts that the network does not know, by target.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, login: str | None = None, status: int | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Forward)
        self.asked: list[str] = []
        self.login = login
        self.status = status
        self.routes: dict[str, tuple[str, int]] = {}

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"


class _Forward(BaseHTTPRequestHandler):
    server: Proxy

    def do_CONNECT(self) -> None:
        if not self._allowed():
            return
        host, _, port = self.path.rpartition(":")
        address = self.server.routes.get(self.path, (host, int(port)))
        with contextlib.closing(socket.create_connection(address, timeout=PATIENCE)) as target:
            self.send_response(200)
            self.end_headers()
            both = [self.connection, target]
            while ready := select.select(both, [], [], PATIENCE)[0]:
                for each in ready:
                    data = each.recv(65_536)
                    if not data:
                        return
                    both[each is self.connection].sendall(data)

    def do_POST(self) -> None:
        if not self._allowed():
            return
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        target = HTTPConnection(parts.netloc, timeout=PATIENCE)
        with contextlib.closing(target):
            kept = {n: v for n, v in self.headers.items() if not n.lower().startswith("proxy-")}
            target.request(self.command, parts.path, body, kept)
            response = target.getresponse()
            content = response.read()
        self.send_response(response.status)
        self.send_header("Content-Type", response.headers["Content-Type"])
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        self.do_POST()

    def _allowed(self) -> bool:
        self.close_connection = True
        self.server.asked.append(self.path)
        status = self.server.status
        if self.server.login is not None:
            wanted = base64.b64encode(self.server.login.encode()).decode()
            if self.headers.get("Proxy-Authorization") != f"Basic {wanted}":
                status = 407
        if status is None:
            return True
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()
        return False

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - inherited name
        """Suppress the log."""


@contextmanager
def proxy(login: str | None = None, status: int | None = None) -> Iterator[Proxy]:
    """Run a proxy for the block."""
    with Proxy(login, status) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
