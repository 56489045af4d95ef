"""Persistent connections to upstreams."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, NamedTuple

from grantway_plugins.server._http.readable import is_readable

if TYPE_CHECKING:
    from .upstream_connection import UpstreamConnection


class Place(NamedTuple):
    """Where to connect.

    Attributes:
        host: Host name or address.
        port: TCP port.
        tls: Trusted certificates and client certificate; None for connections without TLS.
    """

    host: str
    port: int
    tls: ssl.SSLContext | None


class UpstreamPool:
    """The idle connections to all upstreams. All methods run in one event loop."""

    def __init__(self) -> None:
        # Dictionaries keep insertion order, so the last connection was used most recently.
        self._idle: dict[Place, dict[UpstreamConnection, None]] = {}
        self._open: set[UpstreamConnection] = set()

    def take(self, place: Place, *, is_safe: bool) -> UpstreamConnection | None:
        """Return an idle connection, or None if there is none.

        Args:
            place: Where it is connected to.
            is_safe: Whether the request may be sent again if the upstream closes the connection.
                If not, the connection is checked for that.
        """
        idle = self._idle.get(place)
        while idle:
            connection, _ = idle.popitem()
            if connection.transport.is_closing():
                continue
            if is_safe or not _has_news(connection):
                return connection
            connection.abort()
        return None

    async def connect(self, place: Place, seconds: float) -> UpstreamConnection:
        """Return a new connection.

        Args:
            place: Where to connect.
            seconds: Time limit, including the name lookup and the TLS handshake.

        Raises:
            OSError: The connection failed.
            ValueError: The host name is invalid.
        """
        from .upstream_connection import UpstreamConnection  # noqa: PLC0415 - refers to this class

        loop = asyncio.get_running_loop()
        async with asyncio.timeout(seconds):
            _, connection = await loop.create_connection(
                lambda: UpstreamConnection(self, place),
                place.host,
                place.port,
                ssl=place.tls,
                happy_eyeballs_delay=0.25,
            )
        return connection

    def give_back(self, connection: UpstreamConnection) -> None:
        """Keep a connection for the next request."""
        self._idle.setdefault(connection.place, {})[connection] = None

    def opened(self, connection: UpstreamConnection) -> None:
        """Remember an open connection."""
        self._open.add(connection)

    def closed(self, connection: UpstreamConnection) -> None:
        """Forget a closed connection."""
        self._open.discard(connection)
        idle = self._idle.get(connection.place)
        if idle is not None:
            idle.pop(connection, None)
            if not idle:
                del self._idle[connection.place]

    def close(self) -> None:
        """Close all connections."""
        for each in list(self._open):
            each.abort()


def _has_news(connection: UpstreamConnection) -> bool:
    """Return whether the upstream has closed an idle connection."""
    opened = connection.transport.get_extra_info("socket")
    return opened is None or is_readable(opened)
