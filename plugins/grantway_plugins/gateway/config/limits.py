"""``[gateway.limits]`` of the file: the limits of the listeners, and those of requests."""

from __future__ import annotations

from dataclasses import dataclass

from grantway.quantity import check_count
from grantway_plugins.server.limits import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayLimits(Limits):
    """Limits of a gateway. Those of ``Limits`` apply to each of its listeners.

    Attributes:
        requests: Requests in progress at most, of all listeners but the admin one; one more gets
            503.
        body_bytes: Size of a body; a larger one gets 413.
    """

    requests: int = 1024
    body_bytes: int = 10_485_760

    def __post_init__(self) -> None:
        """Check every field."""
        # Not super(): slots=True makes another class, which a bare super() does not know.
        Limits.__post_init__(self)
        check_count("requests", self.requests)
        check_count("body_bytes", self.body_bytes)
