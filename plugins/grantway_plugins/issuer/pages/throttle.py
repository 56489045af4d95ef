"""Wrong user codes are counted, and after five in a row there is a wait (RFC 8628 section 5.1)."""

from __future__ import annotations

import threading
from collections.abc import Callable

from cachetools import LRUCache

ALLOWED = 5
#: Seconds to wait after too many wrong entries.
WAIT = 60.0
_REMEMBERED = 10_000


class Throttle:
    """Counts wrong entries per key: a session, or the address of a peer.

    Args:
        clock: Seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._wrong: LRUCache[str, tuple[int, float]] = LRUCache(_REMEMBERED)
        self._lock = threading.Lock()

    def wait(self, *keys: str) -> float:
        """Seconds until an entry is looked at again; 0 when it is looked at now."""
        now = self._clock()
        with self._lock:
            return max((self._left(key, now) for key in keys), default=0.0)

    def wrong(self, *keys: str) -> None:
        """Count a wrong entry."""
        now = self._clock()
        with self._lock:
            for key in keys:
                count, last = self._wrong.get(key, (0, now))
                if count >= ALLOWED and now - last >= WAIT:
                    count = 0
                self._wrong[key] = (count + 1, now)

    def right(self, *keys: str) -> None:
        """Forget wrong entries: they were not in a row."""
        with self._lock:
            for key in keys:
                self._wrong.pop(key, None)

    def _left(self, key: str, now: float) -> float:
        count, last = self._wrong.get(key, (0, now))
        return max(0.0, last + WAIT - now) if count >= ALLOWED else 0.0
