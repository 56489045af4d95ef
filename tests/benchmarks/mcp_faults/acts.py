"""Faults of servers: what they answer instead of the healthy response."""

from __future__ import annotations

import json
import threading
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.benchmarks.mcp_faults.record import Answer, Fault, Forward, Reply
from tests.faults import Received, Stage

_PIECE = b" " * 65536


def status(code: int, **headers: str) -> Fault:
    """Answer with a status, and do not process the request."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _received, _forward: Reply(code, b"", named)


def lost(received: Received, forward: Forward) -> Answer:
    """Process the request, then reset the connection."""
    forward()
    return _reset


def hang(received: Received, forward: Forward) -> Answer:
    """Never answer."""
    return _hang


def change(**members: object) -> Fault:
    """Replace members of the JSON object in the response; None removes one."""
    return lambda _received, forward: forward().changed(**members)


def change_redirect(**parameters: str | None) -> Fault:
    """Replace parameters of the URL to which the response redirects; None removes one."""

    def fault(_received: Received, forward: Forward) -> Answer:
        reply = forward()
        location = urlsplit(reply.headers["Location"])
        query = {**dict(parse_qsl(location.query)), **parameters}
        kept = {name: value for name, value in query.items() if value is not None}
        changed = location._replace(query=urlencode(kept)).geturl()
        return Reply(reply.status, reply.body, {**reply.headers, "Location": changed})

    return fault


def redirect(url: str) -> Fault:
    """Redirect to a URL."""
    return lambda _received, _forward: Reply(302, b"", {"Location": url})


class Padded:
    """Add a member to the JSON object in the response, so that it has a number of bytes.

    Attributes:
        sent: Number of bytes that the client accepted.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self.sent = 0
        self.done = threading.Event()

    def __call__(self, _received: Received, forward: Forward) -> Answer:
        """Return the act that sends the large document."""
        head, tail = json.dumps({**forward().json, "padding": "@"}).encode().split(b"@")

        def act(stage: Stage) -> bool:
            stage.send(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n" % self._size
            )
            try:
                self._send(stage, head)
                rest = self._size - len(head) - len(tail)
                while rest > 0:
                    self._send(stage, _PIECE[:rest])
                    rest -= len(_PIECE)
                self._send(stage, tail)
            finally:
                self.done.set()
            return True

        return act

    def _send(self, stage: Stage, data: bytes) -> None:
        stage.send(data)
        self.sent += len(data)


def _reset(stage: Stage) -> bool:
    stage.reset()
    return False


def _hang(stage: Stage) -> bool:
    stage.wait_for_client()
    return False
