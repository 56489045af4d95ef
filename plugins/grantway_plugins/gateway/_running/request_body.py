"""The body of a request on its way through the proxy: as it comes, and not without end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from grantway_plugins.gateway._config.limits import GatewayLimits
from grantway_plugins.server._http.asgi import Receive

#: Bytes up to which a body is read before anything is sent, so that it can be sent again.
SMALL = 65_536


class BodyRefusedError(Exception):
    """A body that is not passed on.

    Attributes:
        status: 408, 413, or 0 where its sender has gone.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class RequestBody:
    """One request's body.

    Args:
        receive: Where it comes from.
        length: What ``Content-Length`` says, or None.
        limits: Size and time that it may take.

    Attributes:
        problem: Why it was not read to its end, once that is so.
        ended: Whether it was read to its end.
    """

    def __init__(self, receive: Receive, length: int | None, limits: GatewayLimits) -> None:
        self._receive, self._limits, self._most = receive, limits, limits.body_bytes
        self.length = length
        self.problem: BodyRefusedError | None = None
        self.ended = False
        if length is not None and length > self._most:
            raise self._refuse(413, f"The body is larger than {self._most} bytes")

    async def pieces(self) -> AsyncIterator[bytes]:
        """What comes, as it comes.

        Raises:
            BodyRefusedError: it is too large, too slow, or its sender has gone.
        """
        size, more, waited = 0, True, 0.0
        while more:
            begun = time.monotonic()
            try:
                async with asyncio.timeout(self._patience(size, waited)):
                    message = await self._receive()
            except TimeoutError:
                raise self._refuse(408, "The body arrives too slowly") from None
            # Not the time that the upstream takes: the client cannot change that.
            waited += time.monotonic() - begun
            if message["type"] == "http.disconnect":
                raise self._refuse(0, "The client disconnected before the body was complete")
            piece = message.get("body", b"")
            size += len(piece)
            if size > self._most:
                raise self._refuse(413, f"The body is larger than {self._most} bytes")
            more = message.get("more_body", False)
            if piece:
                yield piece
        self.ended = True

    async def whole(self) -> bytes:
        """All of it; for a small one."""
        return b"".join([piece async for piece in self.pieces()])

    def _patience(self, size: int, waited: float) -> float:
        """Return how long to wait for the next piece."""
        limits = self._limits
        left = limits.body_total_seconds - waited
        if limits.body_rate:
            left = min(left, limits.body_seconds + size / limits.body_rate - waited)
        return max(0.0, min(limits.body_seconds, left))

    def _refuse(self, status: int, message: str) -> BodyRefusedError:
        self.problem = BodyRefusedError(status, message)
        return self.problem
