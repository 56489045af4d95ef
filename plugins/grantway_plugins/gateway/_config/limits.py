"""Limits on connections and requests (``[gateway.limits]``)."""

from __future__ import annotations

from dataclasses import dataclass

from grantway._types.quantity import check_count, check_seconds
from grantway_plugins.server._listening.limits import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayLimits(Limits):
    """Limits of a gateway. The inherited limits apply to each listener.

    A request body must arrive within ``body_seconds`` plus one second for each ``body_rate`` bytes
    received, but at most ``body_total_seconds``, and with at most ``body_seconds`` between two
    pieces. Only the time spent waiting for the client counts. Slower bodies get a 408 response.

    Attributes:
        requests: Maximum number of requests in progress on all listeners except the admin
            listener. Above it, the request that has waited longest for the next piece of its body
            gets 408; if no request waits for its body, the new request gets 503.
        requests_per_peer: Maximum number of requests in progress from one address; further
            requests get 503. The same addresses are exempt as for ``connections_per_peer``.
        requests_per_tenant: Maximum number of requests in progress from one tenant, on routes
            with several tenants; further requests get 503.
        body_bytes: Maximum size of a body in bytes; larger bodies get 413.
        body_rate: Minimum rate of a body in bytes per second; 0 means no minimum.
        body_total_seconds: Maximum time for a whole body, in seconds.
    """

    requests: int = 1024
    requests_per_peer: int = 256
    requests_per_tenant: int = 512
    body_bytes: int = 10_485_760
    body_rate: int = 500
    body_total_seconds: float = 600.0

    def __post_init__(self) -> None:
        """Check every field."""
        # slots=True creates a new class, so a bare super() fails.
        Limits.__post_init__(self)
        check_count("requests", self.requests)
        check_count("requests_per_peer", self.requests_per_peer)
        check_count("requests_per_tenant", self.requests_per_tenant)
        check_count("body_bytes", self.body_bytes)
        check_count("body_rate", self.body_rate, least=0)
        check_seconds("body_total_seconds", self.body_total_seconds)
