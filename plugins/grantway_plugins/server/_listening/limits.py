"""Limits of one listener."""

from __future__ import annotations

from dataclasses import dataclass

from grantway._types.quantity import check_count, check_seconds

_LEAST_HEADER = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of a listener. The defaults suit a server on a network.

    Attributes:
        connections: Open connections at most. When there are more, the one that has kept the
            listener waiting longest is closed; if none does, the new one gets 503. The number is
            lowered when the process may not open that many files.
        connections_per_peer: Open connections of one address at most (of one /64 network for IPv6);
            one more gets 503. Loopback addresses and trusted proxies are exempt, since many callers
            share them.
        header_bytes: Size of a request line with its headers; a larger one gets 431.
        header_seconds: Time for a whole header, from the connection or from the request before; a
            slower one gets 408.
        body_seconds: Time for a request body; a slower one gets 408.
        idle_seconds: Time that a connection stays open between two requests.
        send_seconds: Time that a client may leave a response unread; then its connection is closed.
        grace_seconds: Time that requests in progress get when the server stops.

    Raises:
        ConfigurationError: a value is out of range; names the field.
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
        check_count("header_bytes", self.header_bytes, least=_LEAST_HEADER)
        check_seconds("header_seconds", self.header_seconds)
        check_seconds("body_seconds", self.body_seconds)
        check_seconds("idle_seconds", self.idle_seconds)
        check_seconds("send_seconds", self.send_seconds)
        check_seconds("grace_seconds", self.grace_seconds)
