"""Local servers that simulate network faults and record the requests they receive.

A ``FaultServer`` plays a script with one act for each request, and repeats the last act. An act
receives the connection, and returns whether to keep it open for the next request::

    with FaultServer(respond(503), respond()) as server:
        provider = Provider(token_endpoint=server.token_endpoint)
"""

from __future__ import annotations

import atexit
import contextlib
import json
import socket
import ssl
import struct
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qs

from grantway._processes.copies import OneProcess, Value
from grantway._types.quantity import check_count

#: Seconds between two bytes of a slow response, far below usual read timeouts.
DRIP = 0.02
TOKEN = {"access_token": "at-1", "token_type": "Bearer", "expires_in": 3600}


@dataclass(frozen=True)
class Received(Value):
    """One complete request."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, list[str]]:
        """The body, parsed as a form."""
        return parse_qs(self.body.decode(), keep_blank_values=True)

    @property
    def json(self) -> Any:
        """The body, parsed as JSON."""
        return json.loads(self.body)


@dataclass
class Stage(OneProcess):
    """One connection, with the operations that acts use."""

    stays = "it holds a connection"

    server: FaultServer
    sock: socket.socket
    buffer: bytes = field(default=b"")

    def read_request(self) -> Received | None:
        """Read and record one request. Return None if the client has disconnected."""
        while b"\r\n\r\n" not in self.buffer:
            if not self._more():
                return None
        head, _, rest = self.buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        length = int(headers.get("content-length", "0"))
        self.buffer = rest
        while len(self.buffer) < length:
            if not self._more():
                return None
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        method, target, _ = first.split(" ")
        received = Received(method, target, headers, body)
        self.server.requests.append(received)
        return received

    def wait_until_sent(self) -> None:
        """Wait until a complete request has arrived, without reading it."""
        while True:
            seen = self.sock.recv(65536, socket.MSG_PEEK)
            head, ended, body = seen.partition(b"\r\n\r\n")
            if ended:
                length = next(
                    int(line.split(b":")[1])
                    for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length:")
                )
                if len(body) >= length:
                    return

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.sock.sendall(data)

    def reset(self) -> None:
        """Reset the connection, so that the client cannot read anything more."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def wait_for_client(self) -> None:
        """Keep the connection open until the client closes it."""
        while self.sock.recv(65536):
            pass

    def waits_for_more(self) -> bool:
        """Wait for the next request. Return False if the client has disconnected."""
        if isinstance(self.sock, ssl.SSLSocket):  # TLS sockets do not support MSG_PEEK
            return bool(self.buffer) or self._more()
        return bool(self.buffer or self.sock.recv(1, socket.MSG_PEEK))

    def _more(self) -> bool:
        piece = self.sock.recv(65536)
        self.buffer += piece
        return bool(piece)


#: Handles one request. Returns True to keep the connection open for the next act.
Act = Callable[[Stage], bool]


def raw(data: bytes, *, keep: bool = False) -> Act:
    """Read a request, then send exactly these bytes."""

    def act(stage: Stage) -> bool:
        if stage.read_request() is None:
            return False
        stage.send(data)
        return keep

    return act


def message(
    status: int, body: bytes, headers: Mapping[str, str] | None = None, *, length: int | None = None
) -> bytes:
    """Return the bytes of an HTTP response."""
    lines = [f"HTTP/1.1 {status} Scripted"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def respond(
    status: int = 200,
    body: bytes | Mapping[str, Any] | list[Any] = TOKEN,
    headers: Mapping[str, str] | None = None,
    *,
    keep: bool = True,
) -> Act:
    """Read a request and send a valid response."""
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
        headers = {"Content-Type": "application/json", **(headers or {})}
    return raw(message(status, body, headers), keep=keep)


def close_after(act: Act) -> Act:
    """Play an act, then close the connection without announcing it."""

    def closing(stage: Stage) -> bool:
        act(stage)
        stage.sock.shutdown(socket.SHUT_RDWR)
        stage.sock.close()
        stage.server.closed.set()
        return False

    return closing


def reset_unread(stage: Stage) -> bool:
    """Reset the connection once the complete request has arrived, without reading it."""
    stage.wait_until_sent()
    stage.reset()
    return False


def reset_after_request(stage: Stage) -> bool:
    """Read the request, then reset the connection. The client cannot know the outcome."""
    stage.read_request()
    stage.reset()
    return False


def close_after_request(stage: Stage) -> bool:
    """Read the request, then close the connection without a response."""
    stage.read_request()
    return False


def reset_early(stage: Stage) -> bool:
    """Reset the connection as soon as a request begins."""
    stage.reset()
    return False


def half(body: bytes = b'{"access_token": "at-1", "tok', promised: int = 500) -> Act:
    """Send less than ``Content-Length`` announces, then close the connection."""
    return raw(message(200, body, {"Content-Type": "application/json"}, length=promised))


CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
#: An incomplete chunk, and a chunked body without its last chunk.
chunk_cut = raw(CHUNKED + b'40\r\n{"access_token": "at-1"')
chunks_cut = raw(CHUNKED + b'18\r\n{"access_token": "at-1"}\r\n')


def stall(stage: Stage) -> bool:
    """Read the request and never respond."""
    stage.read_request()
    stage.wait_for_client()
    return False


def stall_body(stage: Stage) -> bool:
    """Send the headers and the beginning of the body, then nothing."""
    stage.read_request()
    stage.send(message(200, b'{"access', length=500))
    stage.wait_for_client()
    return False


def drip(data: bytes) -> Act:
    """Read the request, then send the data slowly, one byte at a time."""

    def act(stage: Stage) -> bool:
        stage.read_request()
        for at in range(len(data)):
            stage.send(data[at : at + 1])
            if stage.server.stopped.wait(DRIP):
                break
        return False

    return act


drip_head = drip(b"HTTP/1.1 200 OK\r\n" + b"X-Padding: 0123456789\r\n" * 500)


def drip_body(stage: Stage) -> bool:
    """Send the headers at once and the body slowly, one byte at a time."""
    stage.read_request()
    stage.send(message(200, b"", length=10_000))
    while not stage.server.stopped.wait(DRIP):
        stage.send(b" ")
    return False


def endless(stage: Stage) -> bool:
    """Send a body that never ends."""
    stage.read_request()
    stage.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    while not stage.server.stopped.is_set():
        stage.send(b" " * 65536)
    return False


class FaultServer(OneProcess):
    """A server on 127.0.0.1 that plays a script.

    Args:
        *script: One act for each request; the last one is repeated.
        tls: TLS context, or None for plain HTTP.
        port: Port to listen on; 0 for a free port.

    Attributes:
        requests: All complete requests.
        connections: Number of accepted connections.
        closed: Set when ``close_after`` has closed its connection.
    """

    stays = "it listens on a socket; send its url instead"

    def __init__(self, *script: Act, tls: ssl.SSLContext | None = None, port: int = 0) -> None:
        check_count("port", port, least=0, most=65_535)
        self._script = list(script)
        self._played = 0
        self._tls = tls
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]
        self.requests: list[Received] = []
        self.connections = 0
        self.closed = threading.Event()
        self.stopped = threading.Event()

    @property
    def url(self) -> str:
        """URL of the server without a path."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def token_endpoint(self) -> str:
        """URL of the token endpoint."""
        return f"{self.url}/token"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stopped.set()
        # Shutting the socket down wakes a thread in accept(); closing it does not.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for sock in self._open:
                if sock.fileno() >= 0:
                    with contextlib.suppress(OSError):
                        sock.shutdown(socket.SHUT_RDWR)
                    sock.close()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()

    def _start(self, run: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=run, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _next(self) -> Act:
        with self._lock:
            act = self._script[min(self._played, len(self._script) - 1)]
            self._played += 1
            return act

    def _accept(self) -> None:
        while not self.stopped.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                self._open.append(sock)
            self._start(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        try:
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
                with self._lock:
                    self._open.append(sock)
            stage = Stage(self, sock)
            # Take the next act only when a request begins, so that idle connections take none.
            while stage.waits_for_more() and self._next()(stage):
                pass
        except OSError:
            pass
        finally:
            sock.close()


def free_port() -> int:
    """Return a port of 127.0.0.1 without a listener, and reserve it for this process.

    On Linux the port stays bound until this process ends, so no other program is given it.
    A server that sets ``SO_REUSEADDR``, as nearly all do, can still listen on it.
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", 0))
    port = int(sock.getsockname()[1])
    if sys.platform == "linux":
        atexit.register(sock.close)
    else:  # other systems do not let a server listen on a reserved port
        sock.close()
    return port
