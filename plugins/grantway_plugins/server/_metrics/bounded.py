"""Labels with a limited number of values."""

from __future__ import annotations

import threading

#: Replaces the values of a label beyond its limit.
OTHER = "other"


class Bounded:
    """The values of one label: all after the first ``limit`` values become ``other``.

    Args:
        limit: Maximum number of values.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: dict[str, str] = {}
        self._lock = threading.Lock()

    def __call__(self, value: str) -> str:
        """Return the value, or ``other``."""
        known = self._kept.get(value)
        if known is not None:
            return known
        with self._lock:
            if len(self._kept) >= self._limit:
                return OTHER
            return self._kept.setdefault(value, value)
