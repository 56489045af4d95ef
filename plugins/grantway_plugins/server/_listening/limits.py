"""Limits of one listener."""

from __future__ import annotations

from dataclasses import dataclass

from grantway._types.quantity import check_count, check_seconds

_MIN_HEADER_BYTES = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of a listener. The defaults suit a server on a network.

    Attributes:
        connections: Maximum number of open connections. At the maximum, a new connection replaces
            the one that has been idle longest, or is rejected with 503 if none is idle. The
            value is lowered if the process cannot open as many files.
        connections_per_peer: Maximum number of open connections from one address (one /64 network
            for IPv6); more are rejected with 503. Loopback addresses and trusted proxies are
            exempt, because many callers share them.
        header_bytes: Maximum size of the request line and headers; more is rejected with 431.
        header_seconds: Time limit for a complete header, from the start of the connection or the
            end of the previous request; exceeding it leads to 408.
        body_seconds: Time limit for a request body; exceeding it leads to 408.
        idle_seconds: Maximum time that a connection stays open between two requests.
        send_seconds: Maximum time that a client may leave a response unread before its connection
            is closed.
        grace_seconds: Maximum time for requests in progress when the server stops.

    Raises:
        ConfigurationError: a field is out of range; the error names it.
    """

    connections: int = 4096
    connections_per_peer: int = 512
    header_bytes: int = 32_768
    header_seconds: float = 10.0
    body_seconds: float = 30.0
    idle_seconds: float = 75.0
    send_seconds: float = 60.0
    grace_seconds: float = 10.0

    def __post_init__(self) -> None:
        """Check every field."""
        check_count("connections", self.connections)
        check_count("connections_per_peer", self.connections_per_peer)
        check_count("header_bytes", self.header_bytes, least=_MIN_HEADER_BYTES)
        check_seconds("header_seconds", self.header_seconds)
        check_seconds("body_seconds", self.body_seconds)
        check_seconds("idle_seconds", self.idle_seconds)
        check_seconds("send_seconds", self.send_seconds)
        check_seconds("grace_seconds", self.grace_seconds)
