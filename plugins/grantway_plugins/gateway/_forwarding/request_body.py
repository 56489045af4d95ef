"""Bodies of forwarded requests, limited in size and duration."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from grantway_plugins.gateway._config.limits import GatewayLimits

from .client_response import ClientResponse

if TYPE_CHECKING:
    from .client_protocol import ForwardingProtocol

#: Maximum bytes of a body that is read completely before it is forwarded, and that is kept so that
#: it can be sent again.
SMALL = 65_536
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class BodyRejectedError(Exception):
    """A body was rejected.

    Attributes:
        status: 408 or 413.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class RequestBody:
    """The body of one request.

    Args:
        client: The client's connection.
        response: Where the connection puts what has arrived.
        limits: Limits on size and duration.
        late: Called if the body arrives too slowly.

    Attributes:
        length: Value of ``Content-Length``; None if the body is chunked.
        empty: Whether there is none.
        kept: Whether everything that was taken can be sent again.
        waits: Whether more of the body is awaited.

    Raises:
        BodyRejectedError: ``Content-Length`` exceeds the limit.
    """

    __slots__ = (
        "_arrived", "_began", "_client", "_expects", "_late", "_limits", "_next", "_response",
        "_timer", "_took", "_waited", "chunked", "empty", "kept", "length", "waits",
    )  # fmt: skip

    def __init__(
        self,
        client: ForwardingProtocol,
        response: ClientResponse,
        limits: GatewayLimits,
        late: Callable[[], None],
    ) -> None:
        self._client, self._response, self._limits, self._late = client, response, limits, late
        self._expects = client.expect_100_continue
        self.length: int | None = None
        self.chunked = False
        for name, value in client.headers:
            if name == b"transfer-encoding":
                self.chunked = True
            elif name == b"content-length":
                self.length = int(value)
        self.empty = not (self.chunked or self.length)
        self.kept = True
        self.waits = False
        self._arrived, self._next, self._took = b"", 0, 0
        self._waited = self._began = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def small(self) -> bool:
        """Whether the body is read completely before it is forwarded."""
        return self.length is not None and self.length <= SMALL

    @property
    def complete(self) -> bool:
        """Whether everything has arrived and was taken."""
        return not (self._response.more_body or self._response.body)

    def check_length(self) -> None:
        """Raise `BodyRejectedError` if ``Content-Length`` exceeds the limit."""
        self._check(self.length or 0)

    def take(self) -> None:
        """Take what has arrived.

        Raises:
            BodyRejectedError: The body is too large.
        """
        self.stop()
        piece, self._response.body = self._response.body, b""
        self._took += len(piece)
        self._check(self._took)
        self._arrived += piece
        self._client.flow.resume_reading()

    def next(self) -> bytes:
        """Return what was taken and not returned yet, framed for the upstream."""
        piece = self._arrived[self._next :] if self._next else self._arrived
        if len(self._arrived) > SMALL:
            self.kept = False
        if self.kept:
            self._next = len(self._arrived)
        else:
            self._arrived, self._next = b"", 0
        if not self.chunked:
            return piece
        ending = b"0\r\n\r\n" if self.complete else b""
        return b"%x\r\n%b\r\n%b" % (len(piece), piece, ending) if piece else ending

    def rewind(self) -> None:
        """Start again with what was kept."""
        self._next = 0

    def wait(self) -> None:
        """Start to wait for more; the client must send it in time."""
        if self._expects and not (self._took or self._response.response_started):
            self._client.transport.write(_CONTINUE)
        self._expects = False
        self.waits = True
        loop, limits = self._client.loop, self._limits
        self._began = loop.time()
        left = limits.body_total_seconds - self._waited
        if limits.body_rate:
            earned = limits.body_seconds + self._took / limits.body_rate
            left = min(left, earned - self._waited)
        left = max(0.0, min(limits.body_seconds, left))
        self._timer = loop.call_later(left, self._late)

    def stop(self) -> None:
        """Stop to wait. Only the time spent waiting for the client counts."""
        self.waits = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._waited += self._client.loop.time() - self._began

    def _check(self, size: int) -> None:
        if size > self._limits.body_bytes:
            raise BodyRejectedError(413, f"The body is larger than {self._limits.body_bytes} bytes")
