"""A connection to an upstream, and the responses that arrive on it (RFC 9112)."""

from __future__ import annotations

import asyncio
import re
from typing import Protocol

import httptools

from .headers import Pair, named_by_connection
from .upstream_pool import Place, UpstreamPool

#: Maximum bytes of a response's header, and of chunk sizes and trailers beyond 8 for each byte of
#: the body.
_MAX_HEADER = 65_536
_FRAMING = 8
#: Seconds for which an idle connection is kept, and by which to undercut the upstream's own limit,
#: so that a request does not arrive while it closes the connection.
_IDLE, _MARGIN = 15.0, 1
_KEPT = re.compile(rb"\btimeout=(\d{1,9})\b").search
_SWITCHING, _FIRST_FINAL, _LAST_FINAL = 101, 200, 599
_NO_BODY = frozenset({204, 304})
_TOO_LONG = "the header, the trailer or the chunk sizes are too long"


class Exchange(Protocol):
    """A request whose response a connection receives."""

    @property
    def method(self) -> bytes:
        """The method of the request."""
        ...

    @property
    def websocket(self) -> bool:
        """Whether it is a WebSocket handshake."""
        ...

    def arrived(self) -> None:
        """Handle what has arrived: see the attributes of the connection."""
        ...

    def failed(self, reason: str, *, timed_out: bool = False) -> None:
        """Handle that the response was lost."""
        ...

    def writable(self) -> None:
        """Continue to send."""
        ...


class UpstreamConnection(asyncio.Protocol):
    """A connection to an upstream. ``httptools`` calls the methods that start with ``on_``.

    Args:
        pool: Keeps the connection between two requests.
        place: Where it is connected to.

    Attributes:
        transport: The transport.
        reused: Whether it has carried an earlier request.
        silent: Whether no part of the response has arrived.
        status: Status of the response; 0 until the whole header has arrived.
        headers: Headers of the response.
        length_known: Whether the response has ``Content-Length`` or no body.
        pieces: Parts of the body or of the tunnel that have arrived and were not taken.
        complete: Whether the whole response has arrived.
        switched: Whether the connection is a tunnel.
        write_paused: Whether too much of the request is unsent.
    """

    transport: asyncio.Transport

    def __init__(self, pool: UpstreamPool, place: Place) -> None:
        self.place = place
        self._pool = pool
        self._loop = asyncio.get_running_loop()
        self._exchange: Exchange | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._until: float | None = None
        self._seconds: float | None = None
        self._read_paused = False
        self.reused = self.write_paused = False

    # --- For the forwarded request ----------------------------------------------------------------

    def begin(self, exchange: Exchange) -> None:
        """Prepare for the response to a request."""
        self._exchange = exchange
        self._parser = httptools.HttpResponseParser(self)
        # Browsers and other clients accept these deviations. None makes it unclear where a
        # response ends. Control characters in headers are checked later.
        self._parser.set_dangerous_leniencies(
            lenient_headers=True,
            lenient_optional_cr_before_lf=True,
            lenient_spaces_after_chunk_size=True,
        )
        self.status = 0
        self.headers: list[Pair] = []
        self.pieces: list[bytes] = []
        self.silent = True
        self.complete = self.switched = self.length_known = False
        self._problem = ""
        self._received = self._header_size = self._size = 0
        self._reusable = False
        self._idle_seconds = _IDLE
        self.limit(None)

    def take(self) -> bytes:
        """Return what has arrived of the body or of the tunnel."""
        pieces, self.pieces = self.pieces, []
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def send_in_tunnel(self, data: bytes) -> None:
        """Send data in a tunnel."""
        self.transport.write(data)
        self._restart()

    def limit(self, seconds: float | None) -> None:
        """Limit the time until something arrives, and between any two parts after that.

        Args:
            seconds: The limit; None for no limit.
        """
        self._seconds = seconds
        self._restart()

    def release(self) -> None:
        """End the exchange: keep the connection if it can carry another request."""
        self._exchange = None
        if not (self.complete and self._reusable) or self.transport.is_closing():
            self.abort()
            return
        self.read(paused=False)
        self.reused = True
        self.limit(self._idle_seconds)
        self._pool.give_back(self)

    def abort(self) -> None:
        """Close the connection at once."""
        self._exchange = None
        self.transport.abort()

    def read(self, *, paused: bool) -> None:
        """Pause or resume reading; no time limit applies during a pause."""
        if paused == self._read_paused or self.transport.is_closing():
            return
        self._read_paused = paused
        if paused:
            self.transport.pause_reading()
            self._until = None
        else:
            self.transport.resume_reading()
            self._restart()

    # --- asyncio ----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the transport."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._pool.opened(self)

    def data_received(self, data: bytes) -> None:
        """Parse received data."""
        exchange = self._exchange
        if exchange is None:  # a response to no request
            self.abort()
            return
        self.silent = False
        self._restart()
        if self.switched:
            self.pieces.append(data)
        else:
            self._parse(data)
            if self._problem:
                self._fail(self._problem)
                return
        exchange.arrived()

    def eof_received(self) -> None:
        """Complete a response that ends with the connection."""
        self._ended()

    def connection_lost(self, exc: Exception | None) -> None:
        """Report a lost response."""
        self._pool.closed(self)
        if self._timer is not None:
            self._timer.cancel()
        if exc is None:
            self._ended()
        if self._exchange is not None and not self.complete:
            self._fail("the connection was lost" if exc is None else type(exc).__name__)

    def pause_writing(self) -> None:
        """Note that too much is unsent."""
        self.write_paused = True

    def resume_writing(self) -> None:
        """Continue to send."""
        self.write_paused = False
        if self._exchange is not None:
            self._exchange.writable()

    # --- Parsing ----------------------------------------------------------------------------------

    def _parse(self, data: bytes) -> None:
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as stopped:
            if self.switched:
                self.pieces.append(data[stopped.args[0] :])
            elif not self.complete:
                self._problem = self._problem or "another protocol"
        except httptools.HttpParserError as error:
            self._reusable = False
            if not self.complete:
                self._problem = self._problem or type(error).__name__
        if self._received - _FRAMING * self._size > 2 * _MAX_HEADER or (
            not self.status and self._received > _MAX_HEADER
        ):
            self._problem = self._problem or _TOO_LONG

    def on_message_begin(self) -> None:
        if self.complete:
            self._reusable = False  # a response to no request

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.status:  # a trailer
            return
        self.headers.append((name, value))
        self._header_size += len(name) + len(value) + 4
        if self._header_size > _MAX_HEADER:
            self._problem = _TOO_LONG

    def on_headers_complete(self) -> None:
        if self.status:
            return
        status = self._parser.get_status_code()
        names = {name.lower(): value for name, value in self.headers}
        assert self._exchange is not None
        if (
            status == _SWITCHING
            and self._exchange.websocket
            and names.get(b"upgrade", b"").strip().lower() == b"websocket"
            and b"upgrade" in named_by_connection(self.headers)
        ):
            self.switched = True
        elif status == _SWITCHING or not 100 <= status <= _LAST_FINAL:  # noqa: PLR2004
            self._problem = f"status {status}"
            return
        elif status < _FIRST_FINAL:  # such as 103 Early Hints
            self.headers = []
            return
        self.status = status
        self._chunked = b"transfer-encoding" in names
        bodiless = status in _NO_BODY or self._exchange.method == b"HEAD"
        self.length_known = bodiless or b"content-length" in names
        if b"keep-alive" in names and (kept := _KEPT(names[b"keep-alive"])) is not None:
            self._idle_seconds = min(_IDLE, int(kept[1]) - _MARGIN)
        if bodiless:
            self.on_message_complete()

    def on_body(self, body: bytes) -> None:
        if self.complete:  # of a response that has no body
            self._reusable = False
        else:
            self._size += len(body)
            self.pieces.append(body)

    def on_message_complete(self) -> None:
        if self.status and not self.complete and not self.switched:
            self.complete = True
            self._reusable = self._parser.should_keep_alive() and self._idle_seconds > 0

    # --- The end ----------------------------------------------------------------------------------

    def _ended(self) -> None:
        """Handle the end of the connection."""
        exchange = self._exchange
        if exchange is None or self.complete or not self.status:
            return
        if self.switched or not (self._chunked or self.length_known):
            self.complete = True
            exchange.arrived()

    def _fail(self, reason: str, *, timed_out: bool = False) -> None:
        exchange = self._exchange
        self.abort()
        if exchange is not None:
            exchange.failed(reason, timed_out=timed_out)

    # --- Time limit -------------------------------------------------------------------------------

    def _restart(self) -> None:
        """Start the time limit again.

        The timer keeps running, because starting and cancelling one for each request takes longer.
        """
        if self._seconds is None:
            self._until = None
            return
        self._until = until = self._loop.time() + self._seconds
        if self._timer is None or self._timer.when() > until:
            self._start_timer(until)

    def _start_timer(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._check)

    def _check(self) -> None:
        self._timer = None
        if self._until is None or self.transport.is_closing():
            return
        if self._until > self._loop.time():
            self._start_timer(self._until)
        elif self._exchange is None:
            self.transport.close()
        else:
            self._fail("it did not respond in time", timed_out=True)
