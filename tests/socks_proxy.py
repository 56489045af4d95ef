"""A small SOCKS proxy (versions 4a and 5) that records its targets."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Thread
from typing import IO

from tests.waiting import PATIENCE

_LOGIN, _NO_LOGIN, _NONE_FITS = 2, 0, 255
_DOMAIN, _IPV4 = 3, 1


class SocksProxy(ThreadingTCPServer):
    """Connects clients to their targets, or rejects them all.

    Attributes:
        asked: The hosts and ports, in order; the host as the client sent it.
        login: Required credentials as ``USER:PASSWORD``, or None.
        rejects: Whether every target is unreachable.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, login: str | None = None, *, rejects: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), _Connect)
        self.asked: list[tuple[str, int]] = []
        self.login = login
        self.rejects = rejects

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class _Connect(StreamRequestHandler):
    server: SocksProxy
    rbufsize = 0
    rfile: IO[bytes]

    def handle(self) -> None:
        target = self._version_5() if self.rfile.read(1) == b"\5" else self._version_4()
        if target is None:
            return
        with contextlib.closing(socket.create_connection(target, timeout=PATIENCE)) as other:
            both = [self.connection, other]
            while ready := select.select(both, [], [], PATIENCE)[0]:
                for each in ready:
                    data = each.recv(65_536)
                    if not data:
                        return
                    both[each is self.connection].sendall(data)

    def _version_5(self) -> tuple[str, int] | None:
        methods = self.rfile.read(self.rfile.read(1)[0])
        wanted = _NO_LOGIN if self.server.login is None else _LOGIN
        if wanted not in methods:
            self.wfile.write(bytes([5, _NONE_FITS]))
            return None
        self.wfile.write(bytes([5, wanted]))
        if wanted == _LOGIN:
            self.rfile.read(1)
            user, password = (self.rfile.read(self.rfile.read(1)[0]).decode() for _ in "up")
            right = f"{user}:{password}" == self.server.login
            self.wfile.write(bytes([1, not right]))
            if not right:
                return None
        kind = self.rfile.read(4)[3]
        if kind == _DOMAIN:
            host = self.rfile.read(self.rfile.read(1)[0]).decode()
        else:
            host = socket.inet_ntoa(self.rfile.read(4))
        (port,) = struct.unpack(">H", self.rfile.read(2))
        self.server.asked.append((host, port))
        self.wfile.write(bytes([5, 4 * self.server.rejects, 0, _IPV4, 0, 0, 0, 0, 0, 0]))
        return None if self.server.rejects else (host, port)

    def _version_4(self) -> tuple[str, int] | None:
        _, port, address = struct.unpack(">BH4s", self.rfile.read(7))
        self._text()
        host = self._text() if address.startswith(b"\0\0\0") else socket.inet_ntoa(address)
        self.server.asked.append((host, port))
        self.wfile.write(bytes([0, 90 + self.server.rejects, 0, 0, 0, 0, 0, 0]))
        return None if self.server.rejects else (host, port)

    def _text(self) -> str:
        text = b""
        while (byte := self.rfile.read(1)) != b"\0":
            text += byte
        return text.decode()


@contextmanager
def socks_proxy(login: str | None = None, *, rejects: bool = False) -> Iterator[SocksProxy]:
    """Run a SOCKS proxy for the block."""
    with SocksProxy(login, rejects=rejects) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
