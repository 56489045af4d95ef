"""Hand accepted connections over to workers, in turn.

If workers accepted connections of a shared socket themselves, the busiest one would get most of
them, because it is awake when they arrive. With a socket for each worker (SO_REUSEPORT), the
connections of a worker that has ended would wait for its successor, and another program could take
over the port.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from grantway_plugins.server._listening.incident import Incident

#: Maximum number of connections to accept before other tasks run.
_BATCH = 64
#: Pause in seconds if no worker takes connections, or no file descriptors are left.
_PAUSE = 0.02

_log = logging.getLogger("grantway.server")


class HandedOver(socket.socket):
    """The worker's end. It replaces a listening socket, because ``accept`` returns a connection.

    Args:
        file: The number of the open file.
    """

    def __init__(self, file: int) -> None:
        super().__init__(fileno=file)

    def accept(self) -> tuple[socket.socket, Any]:
        """Return a connection and None.

        Raises:
            BlockingIOError: No connection has arrived.
        """
        _, files, _, _ = socket.recv_fds(self, 1, 1)
        if not files:
            raise BlockingIOError  # the supervisor has ended, and the worker is about to
        found = socket.socket(fileno=files[0])
        # Not every system reports the protocol, without which asyncio does not set TCP_NODELAY.
        family, file = found.family, found.detach()
        return socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, file), None


class Queue:
    """Connections on their way to one worker. They outlast it, so that others can take them."""

    def __init__(self) -> None:
        self._ours, theirs = socket.socketpair()
        self._theirs = HandedOver(theirs.detach())
        self._ours.setblocking(False)
        self._theirs.setblocking(False)

    def fileno(self) -> int:
        """Return the number of the open file for ``HandedOver``, which the worker inherits."""
        return self._theirs.fileno()

    def put(self, connection: socket.socket) -> bool:
        """Add a connection; return False if the worker has not taken too many others."""
        try:
            socket.send_fds(self._ours, [b"\0"], [connection.fileno()])
        except OSError:
            return False
        return True

    def take_back(self) -> Iterator[socket.socket]:
        """Yield the connections that the worker has not taken."""
        while True:
            try:
                yield self._theirs.accept()[0]
            except OSError:
                return

    def close(self) -> None:
        """Close the queue; safe to repeat."""
        self._ours.close()
        self._theirs.close()


class Dispatcher:
    """Accepts the connections of one listening socket, and gives each to the next worker.

    Args:
        listening: The listening socket.
        queues: Returns the queues of the workers that take connections.
    """

    def __init__(self, listening: socket.socket, queues: Callable[[], Sequence[Queue]]) -> None:
        self._listening, self._queues = listening, queues
        self._turn = 0
        self._refused = Incident(_log, "closing connections, because no worker takes them")
        self._exhausted = Incident(
            _log,
            "cannot accept connections: no file descriptors or memory left. Raise the limit of "
            "open files (ulimit -n)",
        )
        self._loop = asyncio.get_running_loop()
        self._paused: asyncio.TimerHandle | None = None
        listening.setblocking(False)
        self._resume()

    def stop(self) -> None:
        """Stop accepting connections."""
        self._loop.remove_reader(self._listening)
        if self._paused is not None:
            self._paused.cancel()

    def hand_over(self, connection: socket.socket) -> bool:
        """Give a connection to a worker and close it here; return False if none takes it."""
        with connection:
            queues = self._queues()
            for _ in queues:
                self._turn += 1
                if queues[self._turn % len(queues)].put(connection):
                    return True
            self._refused.happened()  # the kernel does not take it back
            return False

    def _resume(self) -> None:
        self._loop.add_reader(self._listening, self._accept)

    def _pause(self) -> None:
        self._loop.remove_reader(self._listening)
        self._paused = self._loop.call_later(_PAUSE, self._resume)

    def _accept(self) -> None:
        for _ in range(_BATCH):
            if not self._queues():
                self._pause()
                return
            try:
                connection, _address = self._listening.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError:
                self._exhausted.happened()
                self._pause()
                return
            if not self.hand_over(connection):
                self._pause()
                return
