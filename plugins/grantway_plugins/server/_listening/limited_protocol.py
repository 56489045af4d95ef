"""HTTP/1.1 with limits on connections, on the size and time of headers, and on silence."""

from __future__ import annotations

import asyncio
from typing import Any

from grantway_plugins.server._http.host_header import host_problem
from grantway_plugins.server._http.readable import is_readable

from .connections import Connections
from .limits import Limits
from .protocol import HttpProtocol

#: The parser also accepts HTTP/0.9 and 2.0.
_VERSIONS = frozenset({"1.0", "1.1"})


class LimitedProtocol(HttpProtocol):
    """HTTP/1.1 with limits.

    uvicorn closes connections that stay idle after a response, and no others: this protocol also
    closes connections whose client sends no whole header in time, or does not read the response.

    A listener makes a subclass with its own ``limits`` and ``open``.
    """

    limits: Limits
    #: All connections of the listener.
    open: Connections

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.access_log = False  # it would contain user codes, and tokens in queries
        self._unread = 0
        self._size = 0
        self._in_header = True
        self._begun = False  # a header has begun and is not complete
        self._has_spoken = False
        self._pipelined = False  # the request came before the response to the one before
        self._silence: asyncio.TimerHandle | None = None
        self._unsent: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Turn a connection away if there are too many."""
        super().connection_made(transport)
        problem = self.open.admit(self, self.client[0] if self.client else None)
        if problem is not None:
            self._end(b"503 Service Unavailable", problem.encode(), b"retry-after: 1\r\n")
            return
        self._await_header()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop all timers."""
        self.open.remove(self)
        self._stop_silence()
        self._stop_unsent()
        super().connection_lost(exc)

    def has_unread_request(self) -> bool:
        """Return whether the next request has arrived, but was not read yet.

        In an overload, many requests wait in the operating system until they are read.
        """
        if self._begun or not self._in_header:
            return False
        connection = self.transport.get_extra_info("socket")
        return connection is not None and is_readable(connection)

    def give_way(self) -> None:
        """Close the connection in favour of another.

        Only between two requests does a client expect to be closed without a response.
        """
        if self._is_busy() or self._begun or not self._has_spoken:
            message = b"too many connections, and this one was slow"
            self._end(b"503 Service Unavailable", message, b"retry-after: 1\r\n")
        else:
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Count what arrives of a header."""
        if self.transport.is_closing():
            return  # the rest of a header that was too large
        self._has_spoken = True
        self._unread += len(data)
        if self._in_header:
            self._await_header()
        super().data_received(data)
        if self._unread <= self.limits.header_bytes or self.transport.is_closing():
            return
        if self._in_header:
            self._end(b"431 Request Header Fields Too Large", b"the header is too large")
        else:  # endless trailers; a response may have begun
            self.transport.close()

    def on_message_begin(self) -> None:
        """Begin a header."""
        super().on_message_begin()
        self._in_header = self._begun = True
        self._size = 0

    def on_url(self, url: bytes) -> None:
        """Count the target."""
        super().on_url(url)
        self._size += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header. Drop trailers: the parser reports them as headers."""
        if not self._in_header:
            return
        super().on_header(name, value)
        self._size += len(name) + len(value) + 4

    def on_headers_complete(self) -> None:
        """Refuse a header that is too large or ambiguous."""
        if self.transport.is_closing():
            return  # it follows a request that was refused
        self._in_header = self._begun = False
        self._unread = 0
        self._stop_silence()
        self._pipelined = self._is_busy()
        self._await_body()
        if self._size > self.limits.header_bytes:
            self._end(b"431 Request Header Fields Too Large", b"the header is too large")
        elif self.parser.get_http_version() not in _VERSIONS:
            self._end(b"505 HTTP Version Not Supported", b"this server speaks HTTP/1")
        elif problem := host_problem(self.url, self.headers, self.parser.get_http_version()):
            self._end(b"400 Bad Request", problem.encode())
        elif self._has_unknown_coding():
            self._end(b"400 Bad Request", b"chunked is the only transfer coding that works here")
        elif self.parser.get_method() == b"CONNECT":
            self._end(b"501 Not Implemented", b"CONNECT is not supported")
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body."""
        self._unread = 0
        if not self.transport.is_closing():  # otherwise the header was refused
            self._await_body()
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Expect a header next."""
        self._unread = 0
        if not self.transport.is_closing():
            super().on_message_complete()
            if self._is_busy():
                self.open.await_response(self)
            else:
                self.open.await_header(self)
        self._in_header = True

    def on_response_complete(self) -> None:
        """Wait for the next header, or for the rest of an unread body."""
        super().on_response_complete()
        # The cycle is that of the newest request; earlier ones may still be answered.
        if self.transport.is_closing() or self._is_busy():
            return
        if self._begun or not self._in_header:
            self._await_header()
        else:
            self.open.await_header(self)

    def pause_writing(self) -> None:
        """Give the client a limited time to read its response."""
        super().pause_writing()
        # Not ``close``, which waits for the client as well.
        self._unsent = self.loop.call_later(self.limits.send_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Continue a response."""
        self._stop_unsent()
        super().resume_writing()

    def _has_unknown_coding(self) -> bool:
        """Return whether the body has a transfer coding other than chunked, such as gzip."""
        codings = [value for name, value in self.headers if name == b"transfer-encoding"]
        return any(each.strip().lower() != b"chunked" for each in codings)

    def _is_busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _await_body(self) -> None:
        if not self._pipelined:
            self.open.await_body(self)

    def _await_header(self) -> None:
        if self._is_busy():
            return  # a header that comes before the response has time until after it
        self.open.await_header(self)
        if self._silence is None:
            self._silence = self.loop.call_later(self.limits.header_seconds, self._too_slow)

    def _stop_silence(self) -> None:
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None

    def _stop_unsent(self) -> None:
        if self._unsent is not None:
            self._unsent.cancel()
            self._unsent = None

    def _too_slow(self) -> None:
        self._silence = None
        if self._begun:
            self._end(b"408 Request Timeout", b"the header did not come in time")
        else:
            self.transport.close()

    def _end(self, status: bytes, message: bytes, header: bytes = b"") -> None:
        if self._is_busy() and self.cycle.response_started:
            self.transport.abort()  # not in the middle of a response
            return
        self.transport.write(
            b"HTTP/1.1 %b\r\ncontent-type: text/plain\r\nconnection: close\r\n%b"
            b"content-length: %d\r\n\r\n%b" % (status, header, len(message), message)
        )
        self.transport.close()
