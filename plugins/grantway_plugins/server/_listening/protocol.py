"""HTTP/1.1 by uvicorn and httptools, for clients that offer an upgrade and for HTTP/1.0."""

from __future__ import annotations

import asyncio
import contextlib
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
#: What makes up an offer of another protocol (RFC 9110 section 7.8, RFC 7540 section 3.2).
_OFFER = frozenset({b"upgrade", b"http2-settings"})


class HttpProtocol(OneProcess, HttpToolsProtocol):
    """uvicorn's protocol for httptools, without two of its faults.

    Use it for any ASGI application: ``uvicorn --http grantway_plugins.server:HttpProtocol``, or
    ``uvicorn.run(app, http=HttpProtocol)``.

    - A request may offer another protocol, as Java's HTTP client does with ``Upgrade: h2c``. RFC
      9110 section 7.8 lets a server ignore the offer; uvicorn does, but loses the body with it.
      Here the request is answered as HTTP/1.1, and the connection stays open. WebSockets work as
      usual where uvicorn has a library for them.
    - An HTTP/1.0 client does not know the chunked encoding (RFC 9112 section 6.1): a response of
      unknown length ends with the connection.
    """

    stays = "it holds a connection"

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._offered: bytes | None = None

    def data_received(self, data: bytes) -> None:
        """Parse what arrived."""
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
                    self._upgraded()
                    return
                head, self._offered = self._offered, None
                pieces = [memoryview(head), piece[stopped.args[0] :], *pieces]
                # The parser takes the rest for the other protocol; a new one reads it as a body.
                self.parser = _parser(self)

    def on_headers_complete(self) -> None:
        """Begin the request, unless it must be read again without its offer."""
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
        """Take a piece of the body."""
        if self._offered is None:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """End the request."""
        if self._offered is None:
            super().on_message_complete()

    def _upgraded(self) -> None:
        """Hand over to WebSockets; after CONNECT, nothing more is read."""
        if self._should_upgrade():
            self.handle_websocket_upgrade()

    def _head(self) -> bytes:
        """Return the request line and headers without the offer.

        Only an offer of WebSockets stays visible to the application, which may have to refuse it.
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
    # As uvicorn: answer the first of several requests although the client closes afterwards.
    with contextlib.suppress(AttributeError):  # httptools before 0.6.3
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser


class _WithoutChunks:
    """An application whose responses have a length or end with the connection (for HTTP/1.0)."""

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
                _reset(self.cycle.transport)

    def _start(self, message: dict[str, Any]) -> dict[str, Any]:
        headers = [(name.lower(), value) for name, value in message.get("headers", ())]
        if not any(name == b"content-length" for name, _ in headers):
            # uvicorn adds the chunked encoding where this is None, and counts the bytes otherwise.
            self._unknown_length = True
            self.cycle.chunked_encoding = False
            self.cycle.expected_content_length = sys.maxsize
        return {**message, "headers": [p for p in headers if p[0] != b"transfer-encoding"]}


def _reset(transport: asyncio.Transport) -> None:
    """End a connection by a reset, so that the client does not take a part for the whole."""
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
