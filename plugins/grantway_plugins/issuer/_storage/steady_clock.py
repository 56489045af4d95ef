"""A wall clock that never runs backwards while the process lives."""

from __future__ import annotations

import time
from collections.abc import Callable


class SteadyClock:
    """Seconds since the epoch that keep advancing when the system clock is set back.

    The reuse window of a refresh token is measured with it. With the plain wall clock, setting the
    clock back would reopen the window of a token that was spent long ago. Expiry times keep using
    the wall clock, because clients and operators compare them with their own clocks.

    Args:
        clock: The wall clock, in seconds since the epoch.
        monotonic: Measures how long a backward step took, in seconds.

    Not safe for threads: the store calls it from its one thread.
    """

    def __init__(
        self, clock: Callable[[], float], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock, self._monotonic = clock, monotonic
        self._wall, self._tick = clock(), monotonic()
        self._offset = 0.0

    def __call__(self) -> float:
        """Return the current time, never less than it returned before."""
        wall, tick = self._clock(), self._monotonic()
        if wall < self._wall:
            self._offset += self._wall - wall + (tick - self._tick)
        self._wall, self._tick = wall, tick
        return wall + self._offset
