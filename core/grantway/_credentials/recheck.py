"""When a held token is compared with the stored one, so that a logout elsewhere takes effect."""

from __future__ import annotations

import time

_time, _monotonic = time.time, time.monotonic


class Recheck:
    """The times of the next comparison.

    The comparison starts in the background after half of the time. If no caller used
    the token in that time, the next one waits for the comparison.

    Args:
        seconds: Longest time between two comparisons.
    """

    __slots__ = ("_begin", "_refresh", "_seconds", "_wait")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._begin = self._wait = self._refresh = (0.0, 0.0)

    def confirm(self) -> None:
        """Start the time again: the store has the token now."""
        self._begin, self._wait = _after(self._seconds / 2), _after(self._seconds)

    def postpone(self) -> None:
        """Repeat the comparison after half of the time, because the store does not respond."""
        self._begin = self._wait = _after(self._seconds / 2)

    def refresh_after(self, seconds: float) -> None:
        """Set when the token is refreshed, which is independent of the comparison."""
        self._refresh = _after(seconds)

    @property
    def refresh_left(self) -> float:
        """Seconds until the token is refreshed; not positive if it is now."""
        return _left(self._refresh)

    @property
    def due(self) -> bool:
        """Whether the comparison should start."""
        return _left(self._begin) <= 0

    @property
    def overdue(self) -> bool:
        """Whether callers have to wait for the comparison."""
        return _left(self._wait) <= 0

    @property
    def left(self) -> float:
        """Seconds until the next comparison or refresh has to be considered; 0 if it is now."""
        return max(0.0, min(_left(self._wait if self.due else self._begin), _left(self._refresh)))


def _after(seconds: float) -> tuple[float, float]:
    """Return a moment on both clocks; see ``TokenState.until_monotonic``."""
    return _time() + seconds, _monotonic() + seconds


def _left(moment: tuple[float, float]) -> float:
    return min(moment[0] - _time(), moment[1] - _monotonic())
