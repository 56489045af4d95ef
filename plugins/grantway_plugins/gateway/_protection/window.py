"""How many calls of the last seconds failed, in a few numbers whatever their count."""

from __future__ import annotations

#: The window moves by a tenth of itself.
_SLICES = 10


class Window:
    """Counts of calls and failures over a sliding window.

    Args:
        length: Its seconds.
    """

    __slots__ = ("_calls", "_failed", "_last", "_slice")

    def __init__(self, length: float) -> None:
        self._slice = length / _SLICES
        self._last = 0
        self._calls = [0] * _SLICES
        self._failed = [0] * _SLICES

    def add(self, now: float, *, failed: bool) -> None:
        """Count a call."""
        at = self._move(now)
        self._calls[at] += 1
        self._failed[at] += failed

    def totals(self, now: float) -> tuple[int, int]:
        """Calls, and how many of them failed."""
        self._move(now)
        return sum(self._calls), sum(self._failed)

    def _move(self, now: float) -> int:
        """Forget what has left the window; gives the place of what happens now."""
        current = int(now / self._slice)
        for gone in range(max(self._last + 1, current - _SLICES + 1), current + 1):
            self._calls[gone % _SLICES] = self._failed[gone % _SLICES] = 0
        self._last = max(self._last, current)
        return self._last % _SLICES
