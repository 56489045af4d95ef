"""Rate limiting with one token bucket per key."""

from __future__ import annotations

import time
from collections.abc import Callable

from cachetools import LRUCache

from grantway_plugins.server._listening.peers import network_of

#: Maximum number of keys in memory; the least recently used key is dropped first.
_REMEMBERED = 10_000
#: Maximum number of actions of all peers together, as a multiple of those of one peer.
_ALL_PEERS = 10


class RateLimit:
    """Limits the actions of each key per minute; bursts up to the limit are allowed.

    Args:
        per_minute: Maximum number of actions per minute.
        clock: A monotonic clock, in seconds.
    """

    def __init__(self, per_minute: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = per_minute
        self._clock = clock
        self._buckets: LRUCache[str, tuple[float, float]] = LRUCache(_REMEMBERED)

    def wait(self, key: str) -> float:
        """Return the seconds until the next action is allowed, or 0."""
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


class PeerRateLimit:
    """Limits the actions of each peer, and ten times as many of all peers together.

    Args:
        per_minute: Maximum number of actions of one peer per minute.
    """

    def __init__(self, per_minute: float) -> None:
        self._of_peer = RateLimit(per_minute)
        self._of_all = RateLimit(per_minute * _ALL_PEERS)

    def take(self, peer: str) -> float:
        """Count an action and return 0, or return the seconds that the peer must wait.

        Args:
            peer: Address of the peer.
        """
        network = network_of(peer)
        wait = max(self._of_peer.wait(network), self._of_all.wait(""))
        if wait <= 0:
            self._of_peer.take(network)
            self._of_all.take("")
        return wait
