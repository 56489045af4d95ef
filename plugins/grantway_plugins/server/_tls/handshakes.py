"""TLS handshakes of accepted connections."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from grantway_plugins.server._listening.connections import Connections

from .certificate import ServerCertificate

#: Seconds that a client may take to confirm the end of a connection (RFC 8446 section 6.1). Many
#: keep idle connections open without reading, which would delay the server's stop.
_CLOSING = 1.0


class Handshake:
    """A connection in its handshake. It counts as an open connection.

    Args:
        task: The task that waits for the handshake.
    """

    def __init__(self, task: asyncio.Task[Any] | None) -> None:
        self._task = task

    def has_unread_request(self) -> bool:
        """Return False, because the client cannot have sent a request."""
        return False

    def give_way(self) -> None:
        """Close the connection."""
        if self._task is not None:
            self._task.cancel()


class Handshakes:
    """Performs handshakes with the current certificate.

    Args:
        certificate: The server's certificate.
        connections: The open connections of the listener.
        seconds: Time limit of a handshake.
    """

    def __init__(
        self, certificate: ServerCertificate, connections: Connections, seconds: float
    ) -> None:
        self._certificate, self._open, self._seconds = certificate, connections, seconds

    async def connect(self, connection: socket.socket, protocol: Callable[[], Any]) -> None:
        """Serve a connection after its handshake.

        Args:
            connection: An accepted connection.
            protocol: Returns the protocol of the connection.

        Raises:
            OSError: The client disconnected, or the handshake failed.
        """
        handshake = Handshake(asyncio.current_task())
        peer = connection.getpeername()
        if self._open.admit(handshake, peer[0] if isinstance(peer, tuple) else None) is not None:
            connection.close()  # a response would need a handshake
            return
        self._open.await_header(handshake)

        def begun() -> Any:
            made = protocol()
            made.handshake = handshake  # the protocol counts from its first byte
            return made

        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                begun,
                connection,
                ssl=self._certificate.context,
                ssl_handshake_timeout=self._seconds,
                ssl_shutdown_timeout=_CLOSING,
            )
        finally:
            self._open.remove(handshake)
