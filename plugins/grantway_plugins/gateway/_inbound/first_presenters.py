"""Bind unsealed codes to the first caller that presents them."""

from __future__ import annotations

import threading
import time

from cachetools import TTLCache

from grantway_plugins.issuer._decisions.randomness import digest

#: Seconds for which a code stays bound after it was last presented.
REMEMBERED = 3600.0
#: Largest number of bound codes.
LIMIT = 10_000


class FirstPresenters:
    """Binds codes to their first caller, in this process. Thread-safe.

    Args:
        seconds: Seconds for which a code stays bound after it was last presented.
        limit: Largest number of bound codes. Further codes are rejected, because unbinding a code
            would allow another caller to use it. One caller may bind only as many codes as there
            are free places, so that it cannot use all of them.
    """

    def __init__(self, seconds: float = REMEMBERED, limit: int = LIMIT) -> None:
        self._owners: TTLCache[bytes, str] = TTLCache(limit, ttl=seconds, timer=time.monotonic)
        self._limit = limit
        self._lock = threading.Lock()

    def claim(self, code: str, client_id: str) -> bool:
        """Bind a new code to this caller, and return whether the code is bound to it."""
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
        return held < self._limit - len(self._owners)
