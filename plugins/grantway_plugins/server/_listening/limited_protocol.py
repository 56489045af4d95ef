"""HTTP/1.1 with limits on connections and on the size and time of headers."""

from __future__ import annotations

import asyncio
from typing import Any

from grantway_plugins.server._http.host_header import host_problem
from grantway_plugins.server._http.readable import is_readable

from .connections import Connection, Connections
from .limits import Limits
from .protocol import HttpProtocol

#: Supported HTTP versions; the parser also accepts 0.9 and 2.0.
_VERSIONS = frozenset({"1.0", "1.1"})


class LimitedProtocol(HttpProtocol):
    """HTTP/1.1 with limits.

    uvicorn only closes connections that are idle after a response. This protocol also closes
    connections whose client does not send a complete header or read the response in time.

    The listener creates a subclass with its ``limits`` and ``open``.
    """

    limits: Limits
    #: Headers that are accepted from trusted proxies only, in lower case.
    proxy_only: frozenset[bytes] = frozenset()
    #: Open connections of the listener.
    open: Connections
    #: The handshake of this connection, which counts as a connection until it ends.
    handshake: Connection | None = None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.access_log = False  # queries may contain user codes and tokens
        self._unread = 0
        self._size = 0
        self._in_header = True
        self._begun = False  # a header is incomplete
        self._has_spoken = False
        self._pipelined = False  # received before the previous response was sent
        self._had_header = False  # the received data completed a header
        self._idle_since: float | None = None
        self._silence: asyncio.TimerHandle | None = None
        self._unsent: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Reject the connection if there are too many."""
        super().connection_made(transport)
        if self.scheme == "http":  # asyncio limits the time in which TLS connections end
            # Time the client whenever data is unsent: by default, 64 KiB may wait without limit.
            transport.set_write_buffer_limits(0)
        if self.handshake is not None:
            self.open.remove(self.handshake)
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
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
        super().connection_lost(exc)

    def abandon(self) -> bool:
        """End the request in progress when the server stops.

        Returns:
            False if there is none, or if it runs in a task that the server cancels.
        """
        return False

    def has_unread_request(self) -> bool:
        """Return whether the next request has arrived but has not been read.

        Under overload, many requests wait in the operating system until they are read.
        """
        if self._begun or not self._in_header:
            return False
        connection = self.transport.get_extra_info("socket")
        return connection is not None and is_readable(connection)

    def give_way(self) -> None:
        """Close the connection to make room for another.

        Clients expect a connection to be closed without a response only between requests.
        """
        if self._is_busy() or self._begun or not self._has_spoken:
            message = b"too many connections, and this one was idle"
            self._end(b"503 Service Unavailable", message, b"retry-after: 1\r\n")
        else:
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Check the size of a header while it arrives."""
        if self.transport.is_closing():
            return  # the rest of a rejected header
        self._has_spoken = True
        self._unread += len(data)
        self._had_header = False
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._in_header and (self._begun or not self._had_header):
            self._await_header()
        if self._unread <= self.limits.header_bytes:
            return
        if self._in_header:
            self._end(b"431 Request Header Fields Too Large", b"the header is too large")
        else:  # endless trailers, after the response may have begun
            self.transport.close()

    def on_message_begin(self) -> None:
        """Start a header."""
        super().on_message_begin()
        self._in_header = self._begun = True
        self._size = 0

    def on_url(self, url: bytes) -> None:
        """Count the size of the request target."""
        super().on_url(url)
        self._size += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count the size of a header; ignore trailers, which the parser reports as headers."""
        if not self._in_header:
            return
        # As in uvicorn's method; it is called too often to call it here.
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))
        self._size += len(name) + len(value) + 4

    def on_headers_complete(self) -> None:
        """Reject a header that is too large or invalid."""
        if self.transport.is_closing():
            return  # the previous request was rejected
        self._in_header = self._begun = False
        self._had_header = True
        self._unread = 0
        self._stop_silence()
        self._pipelined = self._is_busy()
        has_unknown_coding = self._has_unknown_coding()
        if self._size > self.limits.header_bytes:
            self._end(b"431 Request Header Fields Too Large", b"the header is too large")
        elif self.parser.get_http_version() not in _VERSIONS:
            self._end(
                b"505 HTTP Version Not Supported", b"this server supports HTTP/1.0 and HTTP/1.1"
            )
        elif problem := host_problem(self.url, self.headers, self.parser.get_http_version()):
            self._end(b"400 Bad Request", problem.encode())
        elif has_unknown_coding:
            self._end(b"400 Bad Request", b"chunked is the only supported transfer coding")
        elif self.parser.get_method() == b"CONNECT":
            self._end(b"501 Not Implemented", b"CONNECT is not supported")
        else:
            self._drop_forged_headers()
            self._start()

    def _drop_forged_headers(self) -> None:
        """Remove headers that only a trusted proxy may send."""
        host = self.client[0] if self.client else ""
        if self.proxy_only and host not in self.open.proxies:
            self.headers[:] = [each for each in self.headers if each[0] not in self.proxy_only]

    def _start(self) -> None:
        """Send a request to the ASGI application."""
        if not self._pipelined:
            self.open.await_body(self)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Receive a part of a body."""
        self._unread = 0
        if not self.transport.is_closing():  # otherwise the header was rejected
            if not self._pipelined:
                self.open.await_body(self)
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Expect the next header."""
        self._unread = 0
        if not self.transport.is_closing():
            busy = self._is_busy()
            super().on_message_complete()
            if busy:
                self.open.await_response(self)
            else:
                self.open.await_header(self)
        self._in_header = True

    def on_response_complete(self) -> None:
        """Start the next request, or wait for the next header or the rest of an unread body.

        Unlike uvicorn's method, it keeps the timer for idle connections running, because starting
        and cancelling one for each request takes longer.
        """
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self._idle_since = self.loop.time()
            if self.timeout_keep_alive_task is None:
                self._close_when_idle(self.timeout_keep_alive)
        # ``cycle`` belongs to the newest request; earlier ones may still be in progress.
        if self._is_busy():
            return
        if self._begun or not self._in_header:
            self._await_header()
        else:
            self.open.await_header(self)

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection if it has been idle for too long."""
        self.timeout_keep_alive_task = None
        if self._idle_since is None:
            return
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._close_when_idle(left)
        else:
            self.transport.close()

    def _close_when_idle(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(
            seconds, self.timeout_keep_alive_handler
        )

    def _unset_keepalive_if_required(self) -> None:
        self._idle_since = None

    def pause_writing(self) -> None:
        """Start the time limit for reading the response."""
        super().pause_writing()
        # Abort, because ``close`` would also wait for the client.
        self._unsent = self.loop.call_later(self.limits.send_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop the time limit for reading the response."""
        self._stop_unsent()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Reject invalid data, which may arrive while a response is being sent."""
        self._end(b"400 Bad Request", msg.encode())

    def _has_unknown_coding(self) -> bool:
        """Return whether the body has a transfer coding other than chunked, such as gzip."""
        codings = [value for name, value in self.headers if name == b"transfer-encoding"]
        return any(each.strip().lower() != b"chunked" for each in codings)

    def _is_busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _await_header(self) -> None:
        if self._is_busy():
            return  # the time limit starts after the response
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
            self._end(b"408 Request Timeout", b"the header was not complete in time")
        else:
            self.transport.close()

    def _end(self, status: bytes, message: bytes, header: bytes = b"") -> None:
        if self._is_busy() and self.cycle.response_started:
            self.transport.abort()  # an error cannot be sent within a response
            return
        self.transport.write(
            b"HTTP/1.1 %b\r\ncontent-type: text/plain\r\nconnection: close\r\n%b"
            b"content-length: %d\r\n\r\n%b" % (status, header, len(message), message)
        )
        self.transport.close()
