"""The response to a client whose request is forwarded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from grantway_plugins.server._http.wire import WireResponse
from grantway_plugins.server._listening.protocol import reset

from .headers import CHUNKED, UPGRADE

if TYPE_CHECKING:
    from .client_protocol import ForwardingProtocol
    from .forwarding import Forwarding

_SWITCHING = 101


class _NoEvent:
    def set(self) -> None:
        """Do nothing: the protocol calls ``Forwarding`` itself."""


class ClientResponse:
    """The response to one request; takes the place of uvicorn's ``RequestResponseCycle``.

    Args:
        client: The client's connection, whose parser has received the header of the request.
        websocket: Whether the request is a WebSocket handshake.

    Attributes:
        forwarding: The forwarding of the request.
        method: Method of the request.
        body: Parts of the request's body that have arrived and were not taken.
        more_body: Whether more of the body will arrive.
        response_started: Whether the header of the response was sent.
        response_complete: Whether the whole response was sent.
        keep_alive: Whether the connection stays open after the response.
        disconnected: Whether the client has disconnected.
    """

    __slots__ = (
        "_chunked", "_client", "_framed", "_unframed", "body", "disconnected", "forwarding",
        "keep_alive", "method", "more_body", "response_complete", "response_started",
    )  # fmt: skip

    #: uvicorn wakes an application with it.
    message_event = _NoEvent()
    forwarding: Forwarding

    def __init__(self, client: ForwardingProtocol, *, websocket: bool) -> None:
        parser = client.parser
        self._client = client
        self.method: bytes = parser.get_method()
        # HTTP/1.0 clients do not support chunked encoding (RFC 9112 section 6.1).
        self._framed = parser.get_http_version() != "1.0"
        self._chunked = self._unframed = False
        self.body = b""
        self.more_body = True
        self.response_started = self.response_complete = self.disconnected = False
        # After an upgrade, the parser reads no further requests.
        self.keep_alive = self._framed and not websocket and parser.should_keep_alive()

    def send(self, response: WireResponse) -> None:
        """Send a response of the gateway."""
        lines = [b"%b: %b" % pair for pair in response.headers]
        if (b"connection", b"close") in response.headers:
            self.keep_alive = False
        elif not self.keep_alive:
            lines.append(b"connection: close")
        lines.append(b"content-length: %d" % len(response.body))
        body = b"" if self.method == b"HEAD" else response.body
        self.response_started = True
        self._client.transport.write(_head(response.status, lines) + body)
        self._complete()

    def start(self, status: int, lines: list[bytes], *, length_known: bool) -> bytes:
        """Return the header of a response, to be sent with the first part of its body.

        Args:
            status: Status of the response.
            lines: Its header lines.
            length_known: Whether they or the status say where the body ends.
        """
        self.response_started = True
        if not length_known:
            self._chunked, self._unframed = self._framed, not self._framed
        if self._chunked:
            lines.append(CHUNKED)
        if not self.keep_alive:
            lines.append(b"connection: close")
        return _head(status, lines)

    def switch(self, lines: Sequence[bytes]) -> bytes:
        """Return the header of a response that switches to WebSockets."""
        self.response_started = True
        return _head(_SWITCHING, [*UPGRADE, *lines])

    def write(self, head: bytes, body: bytes, *, complete: bool) -> None:
        """Send a part of the response.

        Args:
            head: The header, or nothing.
            body: A part of the body.
            complete: Whether it is the last part.
        """
        if self._chunked:
            ending = b"0\r\n\r\n" if complete else b""
            body = b"%x\r\n%b\r\n%b" % (len(body), body, ending) if body else ending
        if head or body:
            self._client.transport.write(head + body)
        if complete:
            self._complete()

    def cut(self) -> None:
        """Close the connection, so that the client detects that the response is incomplete."""
        self.response_complete = True
        if self._unframed:
            reset(self._client.transport)
        else:
            self._client.transport.close()

    def _complete(self) -> None:
        self.response_complete = True
        if not self.keep_alive:
            self._client.transport.close()


def _head(status: int, lines: Sequence[bytes]) -> bytes:
    return STATUS_LINE[status] + b"\r\n".join([*lines, b"", b""])
