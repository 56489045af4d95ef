"""How often each key may do something: a token bucket per key."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable

from cachetools import LRUCache

#: Keys that are remembered; the one used least recently is forgotten first.
_REMEMBERED = 10_000


class RateLimit:
    """Allow a number of actions per minute for each key, all of them at once if need be.

    Args:
        per_minute: Actions per minute.
        clock: Seconds from a clock that never runs backwards.
    """

    def __init__(self, per_minute: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = per_minute
        self._clock = clock
        self._buckets: LRUCache[str, tuple[float, float]] = LRUCache(_REMEMBERED)

    def wait(self, key: str) -> float:
        """Return the seconds until the key may act; 0 if it may now."""
        left, _ = self._left(key)
        return max(0.0, 1 - left) * 60 / self._most

    def take(self, key: str) -> None:
        """Count one action."""
        left, now = self._left(key)
        self._buckets[key] = (left - 1, now)

    def _left(self, key: str) -> tuple[float, float]:
        now = self._clock()
        left, last = self._buckets.get(key, (self._most, now))
        return min(self._most, left + (now - last) * self._most / 60), now


def network_of(peer: str) -> str:
    """Return what one peer is counted by: its address, or the /64 network of an IPv6 address.

    Args:
        peer: The peer's address; any other text stands for itself.
    """
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return peer
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((address, 64), strict=False))
