"""Requests of the supervisor to a worker, as lines of JSON on a Unix socket."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

#: Maximum size of a message in bytes; metrics and configuration files are much smaller.
_LIMIT = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """A request of the supervisor.

    Attributes:
        number: Identifies the response.
        name: The wanted action.
        argument: Its argument, as JSON. It may contain secrets.
    """

    number: int
    name: str
    argument: Any = field(repr=False)


class WorkerEnd:
    """The worker's end of the connection.

    Args:
        connection: The worker's socket.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._writer: asyncio.StreamWriter | None = None

    async def requests(self) -> AsyncIterator[Request]:
        """Yield the supervisor's requests. The end means that the supervisor has ended."""
        reader, self._writer = await asyncio.open_connection(sock=self._connection, limit=_LIMIT)
        with suppress(ConnectionError):
            while line := await reader.readline():
                yield Request(*json.loads(line))

    async def respond(self, request: Request, response: Any) -> None:
        """Send the response to a request; do nothing if the supervisor has ended."""
        assert self._writer is not None  # a request has arrived
        with suppress(ConnectionError):
            self._writer.write(_line([request.number, response]))
            await self._writer.drain()


class SupervisorEnd:
    """The supervisor's end of the connection to one worker.

    Args:
        connection: The supervisor's socket.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._writer: asyncio.StreamWriter | None = None
        self._numbers = itertools.count()
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._reading: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Start reading responses."""
        reader, self._writer = await asyncio.open_connection(sock=self._connection, limit=_LIMIT)
        self._reading = asyncio.create_task(self._read(reader))

    async def ask(self, name: str, argument: Any = None) -> Any:
        """Send a request, and return the response.

        Raises:
            ConnectionError: The worker has ended.
        """
        assert self._writer is not None
        assert self._reading is not None
        if self._reading.done():
            raise ConnectionResetError
        number = next(self._numbers)
        self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            self._writer.write(_line([number, name, argument]))
            await self._writer.drain()
            return await self._asked[number]
        finally:
            del self._asked[number]

    async def close(self) -> None:
        """Close the connection, which ends the worker; safe to repeat."""
        if self._writer is None or self._reading is None:
            self._connection.close()
            return
        self._writer.close()
        self._reading.cancel()
        with suppress(asyncio.CancelledError, ConnectionError):
            await self._reading

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            with suppress(ConnectionError):
                while line := await reader.readline():
                    number, response = json.loads(line)
                    asked = self._asked.get(number)
                    if asked is not None and not asked.done():  # the caller may have given up
                        asked.set_result(response)
        finally:
            for asked in self._asked.values():
                if not asked.done():
                    asked.set_exception(ConnectionResetError())


def _line(content: Any) -> bytes:
    return json.dumps(content).encode() + b"\n"
