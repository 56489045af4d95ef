"""The body of a request on its way through the proxy: as it comes, and not without end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from grantway_plugins.issuer.asgi import Receive

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
        most: Bytes at most.
        seconds: How long its sender may be silent.

    Attributes:
        problem: Why it was not read to its end, once that is so.
        ended: Whether it was read to its end.
    """

    def __init__(self, receive: Receive, length: int | None, most: int, seconds: float) -> None:
        self._receive, self._most, self._seconds = receive, most, seconds
        self.length = length
        self.problem: BodyRefusedError | None = None
        self.ended = False
        if length is not None and length > most:
            raise self._refuse(413, f"The body is larger than {most} bytes")

    async def pieces(self) -> AsyncIterator[bytes]:
        """What comes, as it comes.

        Raises:
            BodyRefusedError: it is too large, too slow, or its sender has gone.
        """
        size, more = 0, True
        while more:
            try:
                async with asyncio.timeout(self._seconds):
                    message = await self._receive()
            except TimeoutError:
                raise self._refuse(
                    408, f"Nothing of the body came for {self._seconds:g} seconds"
                ) from None
            if message["type"] == "http.disconnect":
                raise self._refuse(0, "The sender has gone")
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

    def _refuse(self, status: int, message: str) -> BodyRefusedError:
        self.problem = BodyRefusedError(status, message)
        return self.problem
