"""A sliding window over the outcomes of calls, in constant memory."""

from __future__ import annotations

#: Number of slices; the window moves by one slice at a time.
_SLICES = 10


class Window:
    """Counts of calls and failures over a sliding window.

    Args:
        length: Length of the window in seconds.
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
        """Return the number of calls and of failed calls."""
        self._move(now)
        return sum(self._calls), sum(self._failed)

    def _move(self, now: float) -> int:
        """Clear the slices that have left the window, and return the index of the current one."""
        current = int(now / self._slice)
        for reused in range(max(self._last + 1, current - _SLICES + 1), current + 1):
            self._calls[reused % _SLICES] = self._failed[reused % _SLICES] = 0
        self._last = max(self._last, current)
        return self._last % _SLICES
