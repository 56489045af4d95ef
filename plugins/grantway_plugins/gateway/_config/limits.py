"""``[gateway.limits]`` of the file: the limits of the listeners, and those of requests."""

from __future__ import annotations

from dataclasses import dataclass

from grantway._types.quantity import check_count, check_seconds
from grantway_plugins.server._listening.limits import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayLimits(Limits):
    """Limits of a gateway. Those of ``Limits`` apply to each of its listeners.

    A body has ``body_seconds``, and one second more for each ``body_rate`` bytes that have arrived,
    but at most ``body_total_seconds``; and ``body_seconds`` between two pieces. Only the time that
    the gateway waits for the client counts. A slower body gets 408.

    Attributes:
        requests: Requests in progress at most, of all listeners but the admin one. When there are
            more, the one that has waited longest for the next piece of its body gets 408; if none
            does, the new one gets 503.
        requests_per_peer: Requests in progress of one address at most; one more gets 503. Addresses
            are exempt as they are for ``connections_per_peer``.
        requests_per_tenant: Requests in progress of one tenant at most, on routes that tell tenants
            apart; one more gets 503.
        body_bytes: Size of a body; a larger one gets 413.
        body_rate: Bytes a second that a body must arrive at; 0 sets no rate.
        body_total_seconds: Time for a whole body.
    """

    requests: int = 1024
    requests_per_peer: int = 256
    requests_per_tenant: int = 512
    body_bytes: int = 10_485_760
    body_rate: int = 500
    body_total_seconds: float = 600.0

    def __post_init__(self) -> None:
        """Check every field."""
        # Not super(): slots=True makes another class, which a bare super() does not know.
        Limits.__post_init__(self)
        check_count("requests", self.requests)
        check_count("requests_per_peer", self.requests_per_peer)
        check_count("requests_per_tenant", self.requests_per_tenant)
        check_count("body_bytes", self.body_bytes)
        check_count("body_rate", self.body_rate, least=0)
        check_seconds("body_total_seconds", self.body_total_seconds)
