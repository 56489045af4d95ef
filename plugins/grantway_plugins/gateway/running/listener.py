"""Listening: HTTP/1.1 by uvicorn and httptools, with bounds on what a caller may take."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from grantway_plugins.issuer.listening import address_of, listen

#: The parser takes HTTP/0.9 and 2.0 for versions of the same protocol.
_VERSIONS = frozenset({"1.0", "1.1"})
#: A target in absolute form, up to its path (RFC 9112 section 3.2.2).
_ADDRESS = re.compile(rb"[^/?#]+://(?P<host>[^/?#]*)")
#: Files that the process keeps for other things than its callers and their upstreams.
_SPARE_FILES = 128
#: Connections that wait to be accepted.
_BACKLOG = 2048


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, with bounds on the number of callers, on their headers and silence.

    uvicorn ends connections that are idle after an answer, and no others: here a caller that sends
    no whole header in time is ended as well.
    """

    connections_most = 0
    header_bytes = 0
    header_seconds = 0.0
    send_seconds = 0.0

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.access_log = False
        self._unread = 0
        self._in_header = True
        self._silence: asyncio.TimerHandle | None = None
        self._deaf: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Turn away who is one too many."""
        super().connection_made(transport)
        if len(self.connections) > self.connections_most:
            self._end(b"503 Service Unavailable", b"too many connections", b"retry-after: 1\r\n")
            return
        self._await_header()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._header_came()
        self._heard()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what comes of a header."""
        if self.transport.is_closing():
            return  # what still comes of a header that was too large
        self._unread += len(data)
        if self._in_header:
            self._await_header()
        super().data_received(data)
        if self._unread <= self.header_bytes or self.transport.is_closing():
            return
        if self._in_header:
            self._end(b"431 Request Header Fields Too Large", b"the header is too large")
        else:  # trailers without end; an answer may be under way
            self.transport.close()

    def on_message_begin(self) -> None:
        """A header begins."""
        super().on_message_begin()
        self._in_header = True
        self._size = 0

    def on_url(self, url: bytes) -> None:
        """Count the target."""
        super().on_url(url)
        self._size += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header. A trailer is dropped: the parser takes both for the same."""
        if not self._in_header:
            return
        super().on_header(name, value)
        self._size += len(name) + len(value) + 4

    def on_headers_complete(self) -> None:
        """Answer a header that is not too large."""
        self._in_header = False
        self._unread = 0
        self._header_came()
        if self._size > self.header_bytes:
            self._end(b"431 Request Header Fields Too Large", b"the header is too large")
            return
        if self.parser is not None and self.parser.get_http_version() not in _VERSIONS:
            self._end(b"505 HTTP Version Not Supported", b"only HTTP/1 is spoken here")
            return
        if self._has_two_hosts():
            self._end(b"400 Bad Request", b"the target and the Host header name two hosts")
            return
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body."""
        self._unread = 0
        if self.cycle is not None:  # else the header was refused
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The next that comes is a header."""
        self._unread = 0
        if self.cycle is not None:
            super().on_message_complete()
        self._in_header = True

    def on_response_complete(self) -> None:
        """Wait no longer than for a header for what is left of a body that nobody reads."""
        super().on_response_complete()
        # The cycle is that of the last request that came; others may wait for their turn.
        if not self._in_header and self.cycle.response_complete:
            self._await_header()

    def pause_writing(self) -> None:
        """Wait no longer than may be for a caller who does not take its answer."""
        super().pause_writing()
        # Not ``close``, which waits for the caller too.
        self._deaf = self.loop.call_later(self.send_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on with an answer."""
        self._heard()
        super().resume_writing()

    def _has_two_hosts(self) -> bool:
        """Whether the target is a whole address, of another host than the header names.

        RFC 9112 section 3.2.2 lets the target count, and whoever looks at the header another.
        """
        address = _ADDRESS.match(self.url)
        named = [value for name, value in self.headers if name == b"host"]
        return address is not None and [address["host"].lower()] != [e.lower() for e in named]

    def _heard(self) -> None:
        if self._deaf is not None:
            self._deaf.cancel()
            self._deaf = None

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: whoever asks for an upgrade is answered, and would fill the log."""

    def _await_header(self) -> None:
        if self._silence is None:
            self._silence = self.loop.call_later(self.header_seconds, self._too_slow)

    def _header_came(self) -> None:
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None

    def _too_slow(self) -> None:
        self._silence = None
        if self._unread:
            self._end(b"408 Request Timeout", b"the header did not come in time")
        else:
            self.transport.close()

    def _end(self, status: bytes, message: bytes, header: bytes = b"") -> None:
        self.transport.write(
            b"HTTP/1.1 %b\r\ncontent-type: text/plain\r\nconnection: close\r\n%b"
            b"content-length: %d\r\n\r\n%b" % (status, header, len(message), message)
        )
        self.transport.close()


class Listener(uvicorn.Server):
    """One address, and the application that answers there.

    Args:
        app: The application.
        address: Host and port; port 0 picks a free one.
        limits: ``[gateway.limits]`` of the file.

    Raises:
        ConfigurationError: the address cannot be listened on.
    """

    def __init__(self, app: Any, address: tuple[str, int], limits: Mapping[str, Any]) -> None:
        host, port = address
        self._socket = listen(host, port, backlog=_BACKLOG)
        #: Where it listens, as ``http://127.0.0.1:8400``.
        self.address = address_of(host, self._socket)
        bounds = {
            "connections_most": _affordable(limits["connections"]),
            "header_bytes": limits["header_bytes"],
            "header_seconds": limits["header_seconds"],
            "send_seconds": limits["send_seconds"],
        }
        super().__init__(
            uvicorn.Config(
                app,
                interface="asgi3",
                http=type("BoundedProtocol", (BoundedProtocol,), bounds),
                loop="asyncio",
                ws="none",
                lifespan="off",
                log_config=None,
                server_header=False,
                date_header=False,
                proxy_headers=False,
                backlog=_BACKLOG,
                timeout_keep_alive=int(limits["idle_seconds"]) or 1,
                timeout_graceful_shutdown=int(limits["grace_seconds"]) or 1,
            )
        )

    async def listen(self, ready: Callable[[], None]) -> None:
        """Answer until ``should_exit`` is set, and then what is under way.

        Args:
            ready: Called when requests are answered.
        """
        self._ready = ready
        try:
            await self.serve(sockets=[self._socket])
        finally:
            self._socket.close()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer."""
        await super().startup(sockets)
        self._ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the gateway."""
        yield

    def close(self) -> None:
        """Give the address back, where ``listen`` was never called."""
        self._socket.close()


def _affordable(connections: int) -> int:
    """As many connections as were asked for, or as there can be: each may need a second file."""
    try:
        import resource  # noqa: PLC0415 - not on Windows, which has no such limit
    except ModuleNotFoundError:
        return connections
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * connections + _SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            soft = most
    if soft == resource.RLIM_INFINITY:
        return connections
    return max(1, min(connections, (soft - _SPARE_FILES) // 2))
