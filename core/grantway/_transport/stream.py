"""A connection as the transport uses it, whichever way it is driven."""

from __future__ import annotations

import socket
from typing import Protocol

from .sending import Sending

#: Maximum bytes of one read.
READ_SIZE = 64 * 1024


class Stream(Protocol):
    """Sends and receives bytes within the limits of a request.

    The methods are coroutines. Those of a blocking connection never suspend, so that ``run`` can
    drive them without an event loop.
    """

    async def send(self, data: bytes, sending: Sending) -> None:
        """Send all bytes, and count them in ``sending``.

        Raises:
            OSError: the connection failed, or a limit passed.
        """
        ...

    async def receive(self, sending: Sending) -> bytes:
        """Return received bytes; none at the end of the connection.

        Raises:
            OSError: the connection failed, or a limit passed.
        """
        ...

    def is_idle(self) -> bool:
        """Return whether the connection is open and no bytes have arrived."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


class SocketStream:
    """The parts that blocking and asynchronous sockets share."""

    __slots__ = ("sock",)

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def is_idle(self) -> bool:
        try:
            self.sock.setblocking(False)
            self.sock.recv(1, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return True
        except OSError:
            return False
        return False  # the server closed the connection, or sent bytes that nothing requested

    def close(self) -> None:
        self.sock.close()


def share(seconds: float, addresses_left: int) -> float:
    """Return the seconds for one address, so that an unreachable one leaves time for the rest."""
    return seconds / addresses_left
