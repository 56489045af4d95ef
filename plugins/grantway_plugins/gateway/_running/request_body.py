"""Bodies of forwarded requests, limited in size and duration."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from grantway_plugins.gateway._config.limits import GatewayLimits
from grantway_plugins.server._http.asgi import Receive

#: Maximum bytes of a body that is read completely before it is forwarded, to allow a retry.
SMALL = 65_536


class BodyRejectedError(Exception):
    """A body was rejected.

    Attributes:
        status: 408, 413, or 0 if the client has disconnected.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class RequestBody:
    """The body of one request.

    Args:
        receive: The ASGI ``receive``.
        length: Value of ``Content-Length``, or None.
        limits: Limits on size and duration.

    Attributes:
        problem: Reason if the body was rejected, or None.
        ended: Whether the body was read completely.
    """

    def __init__(self, receive: Receive, length: int | None, limits: GatewayLimits) -> None:
        self._receive, self._limits, self._most = receive, limits, limits.body_bytes
        self.length = length
        self.problem: BodyRejectedError | None = None
        self.ended = False
        if length is not None and length > self._most:
            raise self._reject(413, f"The body is larger than {self._most} bytes")

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the pieces of the body as they arrive.

        Raises:
            BodyRejectedError: The body is too large or too slow, or the client has disconnected.
        """
        size, more, waited = 0, True, 0.0
        while more:
            begun = time.monotonic()
            try:
                async with asyncio.timeout(self._patience(size, waited)):
                    message = await self._receive()
            except TimeoutError:
                raise self._reject(408, "The body arrives too slowly") from None
            # Do not count the time of the upstream, which the client cannot influence.
            waited += time.monotonic() - begun
            if message["type"] == "http.disconnect":
                raise self._reject(0, "The client disconnected before the body was complete")
            piece = message.get("body", b"")
            size += len(piece)
            if size > self._most:
                raise self._reject(413, f"The body is larger than {self._most} bytes")
            more = message.get("more_body", False)
            if piece:
                yield piece
        self.ended = True

    async def whole(self) -> bytes:
        """Return the complete body, for small bodies."""
        return b"".join([piece async for piece in self.pieces()])

    def _patience(self, size: int, waited: float) -> float:
        """Return the seconds to wait for the next piece."""
        limits = self._limits
        left = limits.body_total_seconds - waited
        if limits.body_rate:
            left = min(left, limits.body_seconds + size / limits.body_rate - waited)
        return max(0.0, min(limits.body_seconds, left))

    def _reject(self, status: int, message: str) -> BodyRejectedError:
        self.problem = BodyRejectedError(status, message)
        return self.problem
