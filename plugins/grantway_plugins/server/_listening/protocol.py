"""Fixes for uvicorn's HTTP protocol: offered upgrades, and HTTP/1.0 clients."""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from collections.abc import Iterable
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from grantway._processes.copies import OneProcess

Pair = tuple[bytes, bytes]

_WEBSOCKET = b"websocket"
#: Headers that offer an upgrade (RFC 9110 section 7.8, RFC 7540 section 3.2).
_OFFER = frozenset({b"upgrade", b"http2-settings"})


class HttpProtocol(OneProcess, HttpToolsProtocol):
    """uvicorn's protocol for httptools with two fixes.

    Use it with any ASGI application: ``uvicorn --http grantway_plugins.server:HttpProtocol``, or
    ``uvicorn.run(app, http=HttpProtocol)``.

    - Some clients offer an upgrade with each request, such as Java's HTTP client with ``Upgrade:
      h2c``. A server may ignore the offer (RFC 9110 section 7.8). uvicorn does so, but loses the
      body of the request; this class handles the request as HTTP/1.1. WebSockets work as usual if
      uvicorn has a library for them.
    - HTTP/1.0 clients do not support chunked encoding (RFC 9112 section 6.1), so a response of
      unknown length is ended by closing the connection.
    """

    stays = "it holds a connection"

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._offered: bytes | None = None

    def data_received(self, data: bytes) -> None:
        """Parse received data."""
        self._unset_keepalive_if_required()
        pieces = [memoryview(data)]
        while pieces and not self.transport.is_closing():
            piece = pieces.pop(0)
            try:
                self.parser.feed_data(piece)
            except httptools.HttpParserError:
                self.logger.warning("Invalid HTTP request received.")
                self.send_400_response("Invalid HTTP request received.")
            except httptools.HttpParserUpgrade as stopped:
                if self._offered is None:
                    self._upgraded(piece[stopped.args[0] :])
                    return
                head, self._offered = self._offered, None
                pieces = [memoryview(head), piece[stopped.args[0] :], *pieces]
                # After an upgrade, the parser ignores the rest; a new parser reads it as a body.
                self.parser = _parser(self)

    def on_headers_complete(self) -> None:
        """Start the request, unless it must be parsed again without the offered upgrade."""
        ignored = self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"
        if ignored and not self._should_upgrade():
            self._offered = self._head()
        elif self.parser.get_http_version() == "1.0":
            app = self.app
            plain = _WithoutChunks(app)
            self.app = plain
            super().on_headers_complete()
            self.app = app
            plain.cycle = self.cycle
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Receive a part of the body."""
        if self._offered is None:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Complete the request."""
        if self._offered is None:
            super().on_message_complete()

    def _upgraded(self, _rest: memoryview) -> None:
        """Switch to WebSockets; after CONNECT, ignore further data."""
        if self._should_upgrade():
            self.handle_websocket_upgrade()

    def _head(self) -> bytes:
        """Return the request line and headers without the offered upgrade.

        An offer of WebSockets is kept, so that the application can reject it.
        """
        lines = [
            b"%b %b HTTP/%b"
            % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        ]
        lines += [b"%b: %b" % pair for pair in _without_offer(self.headers)]
        return b"\r\n".join([*lines, b"", b""])


def _without_offer(headers: Iterable[Pair]) -> Iterable[Pair]:
    for name, value in headers:
        if name == b"connection":
            kept = [each for each in value.split(b",") if each.strip().lower() not in _OFFER]
            if kept:
                yield name, b",".join(kept)
        elif name not in _OFFER or (name == b"upgrade" and _WEBSOCKET in value.lower()):
            yield name, value


def _parser(protocol: asyncio.Protocol) -> httptools.HttpRequestParser:
    parser = httptools.HttpRequestParser(protocol)
    # As in uvicorn: accept data after a request with "Connection: close".
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser


class _WithoutChunks:
    """Sends an application's responses without chunked encoding, for HTTP/1.0."""

    cycle: RequestResponseCycle

    def __init__(self, app: Any) -> None:
        self._app = app
        self._unknown_length = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def send_plain(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message = self._start(message)
            elif self._unknown_length and not message.get("more_body", False):
                self.cycle.expected_content_length = len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, send_plain)
        finally:
            if self._unknown_length and not self.cycle.response_complete:
                reset(self.cycle.transport)

    def _start(self, message: dict[str, Any]) -> dict[str, Any]:
        headers = [(name.lower(), value) for name, value in message.get("headers", ())]
        if not any(name == b"content-length" for name, _ in headers):
            # uvicorn uses chunked encoding if this is None, and checks the length otherwise.
            self._unknown_length = True
            self.cycle.chunked_encoding = False
            self.cycle.expected_content_length = sys.maxsize
        return {**message, "headers": [p for p in headers if p[0] != b"transfer-encoding"]}


def reset(transport: asyncio.Transport) -> None:
    """Reset a connection, so that the client does not accept an incomplete response."""
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
