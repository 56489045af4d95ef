"""Which caller first presented a code that was not sealed."""

from __future__ import annotations

import threading
import time

from cachetools import TTLCache

from grantway_plugins.issuer._decisions.randomness import digest

#: Seconds after its last presentation for which a code belongs to its first presenter.
REMEMBERED = 3600.0
#: Codes that are remembered at once.
MOST = 10_000


class FirstPresenters:
    """Remembers the first presenter of a code, in this process. Safe for threads.

    Args:
        seconds: How long a code is remembered after it was last presented.
        most: Codes at once. No further codes are accepted then, because forgetting one would
            let another caller take it. One caller gets no more than there is room left, so that it
            cannot take all the room.
    """

    def __init__(self, seconds: float = REMEMBERED, most: int = MOST) -> None:
        self._owners: TTLCache[bytes, str] = TTLCache(most, ttl=seconds, timer=time.monotonic)
        self._most = most
        self._lock = threading.Lock()

    def claim(self, code: str, client_id: str) -> bool:
        """Return whether the code belongs to this caller, now or from now on."""
        key = digest(code)
        with self._lock:
            self._owners.expire()
            owner = self._owners.get(key)
            if owner is None and not self._has_room(client_id):
                return False
            if owner is None or owner == client_id:
                self._owners[key] = client_id
                return True
            return False

    def _has_room(self, client_id: str) -> bool:
        held = sum(owner == client_id for owner in self._owners.values())
        return held < self._most - len(self._owners)
