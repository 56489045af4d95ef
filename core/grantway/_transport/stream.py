"""A connection as the transport uses it, whichever way it is driven."""

from __future__ import annotations

import errno
import select
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeAlias

from .sending import Sending

#: A result of ``getaddrinfo``.
Address: TypeAlias = tuple[Any, Any, int, str, Any]
Connect: TypeAlias = Callable[[socket.socket, Any, float], Awaitable[None]]

#: Maximum bytes of one read.
READ_SIZE = 64 * 1024


class Stream(Protocol):
    """Sends and receives bytes within the limits of a request.

    The methods are coroutines. Those of a blocking connection never suspend, so that ``run`` can
    drive them without an event loop.
    """

    async def send(self, data: memoryview, sending: Sending) -> None:
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
        # It is readable if the server closed it, or sent bytes that nothing requested. A poll
        # is faster than a read that fails.
        poll = getattr(select, "poll", None)
        try:
            if poll is None:  # on Windows
                return not select.select([self.sock], [], [], 0)[0]
            asked = poll()
            asked.register(self.sock, select.POLLIN)
            return not asked.poll(0)
        except (OSError, ValueError):  # ValueError: it is closed
            return False

    def close(self) -> None:
        self.sock.close()


def permitted(addresses: Sequence[Address], sending: Sending) -> Sequence[Address]:
    """Return the addresses of a host that the request may use.

    Raises:
        OSError: there is none.
    """
    if sending.choose is None or sending.reaching_proxy:
        return addresses
    return sending.choose(addresses)


async def connect_to_first(
    addresses: Sequence[Address],
    sending: Sending,
    connect: Connect,
    make: Callable[..., socket.socket] = socket.socket,
) -> socket.socket:
    """Return a socket that is connected to the first address that accepts, and does not block.

    Each address gets a share of the time, so that an unreachable one leaves time for the rest.

    Args:
        addresses: The results of ``getaddrinfo``.
        sending: The limits.
        connect: Connects the socket within the seconds.
        make: Makes a socket of a family, kind and protocol.
    """
    failure = OSError(errno.EADDRNOTAVAIL, "the host has no address")
    for index, (family, kind, protocol, _, address) in enumerate(addresses):
        seconds = sending.timeout() / (len(addresses) - index)
        sock: socket.socket | None = None
        try:
            sock = make(family, kind, protocol)  # fails without IPv6, for example
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await connect(sock, address, seconds)
        except OSError as error:
            if sock is not None:
                sock.close()
            failure = error.with_traceback(None)  # it would hold this frame
        except BaseException:
            if sock is not None:
                sock.close()
            raise
        else:
            return sock
    try:
        raise failure
    finally:
        del failure
