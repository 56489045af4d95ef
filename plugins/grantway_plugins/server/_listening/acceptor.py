"""Accept connections, and handle running out of file descriptors."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from .incident import Incident

if TYPE_CHECKING:
    from grantway_plugins.server._tls.handshakes import Handshakes

_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
#: Pause after running out of file descriptors, in seconds.
_PAUSE = 0.1
#: Maximum number of connections to accept before other tasks run.
_BATCH = 64

_log = logging.getLogger("grantway.server")


class Acceptor:
    """Accepts the connections of one listening socket.

    If file descriptors run out, asyncio's server logs many tracebacks per second. This class logs
    one warning, closes idle connections and pauses.

    Args:
        listening: The listening socket.
        protocol: Returns the protocol for a new connection.
        make_room: Closes idle connections.
        handshakes: Performs TLS handshakes; None for connections without TLS.
    """

    def __init__(
        self,
        listening: socket.socket,
        protocol: Callable[[], asyncio.Protocol],
        make_room: Callable[[], None],
        handshakes: Handshakes | None = None,
    ) -> None:
        self._handshakes = handshakes
        self._listening, self._protocol, self._make_room = listening, protocol, make_room
        self._exhausted = Incident(
            _log,
            "cannot accept connections: no file descriptors or memory left. Raise the limit of "
            "open files (ulimit -n), or lower the limit of connections",
        )
        self._connecting: set[asyncio.Task[None]] = set()
        listening.setblocking(False)
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Stop accepting connections."""
        self._task.cancel()
        await asyncio.gather(self._task, *self._connecting, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            for _ in range(_BATCH):
                await self._accept()
            await asyncio.sleep(0)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            connection = await self._next()
        except ConnectionAbortedError:  # the client has already disconnected
            return
        except OSError as error:
            if error.errno in _EXHAUSTED:
                self._exhausted.happened()
                self._make_room()
            else:
                _log.warning("cannot accept a connection: %s", error)
            await asyncio.sleep(_PAUSE)
            return
        task = loop.create_task(self._connect(connection))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _next(self) -> socket.socket:
        loop = asyncio.get_running_loop()
        if sys.platform == "win32":  # its event loop waits only for complete operations
            return (await loop.sock_accept(self._listening))[0]
        # If sock_accept is cancelled while a connection arrives, it accepts the connection
        # nevertheless, drops it, and logs a traceback.
        while True:
            try:
                connection, _ = self._listening.accept()
            except BlockingIOError:
                pass
            else:
                connection.setblocking(False)
                return connection
            arrived = asyncio.Event()
            loop.add_reader(self._listening, arrived.set)
            try:
                await arrived.wait()
            finally:
                loop.remove_reader(self._listening)

    async def _connect(self, connection: socket.socket) -> None:
        try:
            if self._handshakes is not None:
                await self._handshakes.connect(connection, self._protocol)
            else:
                loop = asyncio.get_running_loop()
                await loop.connect_accepted_socket(self._protocol, connection)
        except OSError as error:
            _log.debug("a connection failed while it was accepted: %s", error)
            connection.close()
