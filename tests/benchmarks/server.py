"""The token server of the benchmarks, which runs in a separate process.

It responds to every POST with a token. Its responses cost little, so that the clients' work makes
the difference: each connection has a thread that blocks in ``recv`` and answers with one write.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import socketserver
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

from tests.benchmarks.peers import ACCESS_TOKEN, MSAL_AUTHORITY, REFRESH_TOKEN

TOKEN = json.dumps(
    {
        "access_token": ACCESS_TOKEN,
        "token_type": "Bearer",
        "expires_in": 3600,
        "refresh_token": REFRESH_TOKEN,
        "scope": "read write",
        # The parameter names of both AWS and the RFC, so that one response serves every client.
        "accessToken": ACCESS_TOKEN,
        "tokenType": "Bearer",
        "expiresIn": 3600,
        "refreshToken": REFRESH_TOKEN,
    }
).encode()
METADATA = {
    "issuer": MSAL_AUTHORITY,
    "token_endpoint": f"{MSAL_AUTHORITY}/token",
    "authorization_endpoint": f"{MSAL_AUTHORITY}/authorize",
}


class _Connection(socketserver.BaseRequestHandler):
    """Responds to POST with a token, and to GET with metadata and the number of POSTs so far."""

    posts = 0

    def handle(self) -> None:
        buffer = b""
        while received := self.request.recv(65_536):
            buffer += received
            while (end := buffer.find(b"\r\n\r\n")) >= 0:
                head = buffer[:end].lower()
                at = head.find(b"content-length:")
                length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
                if len(buffer) < end + 4 + length:
                    break
                buffer = buffer[end + 4 + length :]
                self._respond(is_get=head.startswith(b"get "))

    def _respond(self, *, is_get: bool) -> None:
        if is_get:
            body = json.dumps({**METADATA, "posts": _Connection.posts}).encode()
        else:
            _Connection.posts += 1
            body = TOKEN
        self.request.sendall(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncache-control: no-store\r\n"
            b"content-length: %d\r\n\r\n%b" % (len(body), body)
        )


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 1024


def _serve(ready: Connection) -> None:
    pin(1)
    with _Server(("127.0.0.1", 0), _Connection) as server:
        ready.send(server.server_address[1])
        server.serve_forever()


def pin(core: int) -> None:
    """Run this process on one core, if the machine has several."""
    if hasattr(os, "sched_setaffinity") and len(cores := sorted(os.sched_getaffinity(0))) > 1:
        os.sched_setaffinity(0, {cores[core]})


@contextmanager
def token_server() -> Iterator[str]:
    """Run the server, and yield its address."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}"
    finally:
        process.terminate()
        process.join()
