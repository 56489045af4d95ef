"""A wall clock that never runs backwards within a process."""

from __future__ import annotations

import time
from collections.abc import Callable


class SteadyClock:
    """Returns seconds since the epoch, and keeps advancing when the system clock is set back.

    The issuer measures the reuse window of refresh tokens with this clock. With the plain wall
    clock, setting the clock back would reopen the window of a token that was replaced long ago.
    Expiry times use the wall clock, because clients and operators compare them with their own
    clocks.

    Not thread-safe: call it from the store's thread only.

    Args:
        clock: The wall clock, in seconds since the epoch.
        monotonic: A monotonic clock, in seconds; measures the time that passed during a step back.
    """

    def __init__(
        self, clock: Callable[[], float], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock, self._monotonic = clock, monotonic
        self._wall, self._tick = clock(), monotonic()
        self._offset = 0.0

    def __call__(self) -> float:
        """Return the current time, never less than before."""
        wall, tick = self._clock(), self._monotonic()
        if wall < self._wall:
            self._offset += self._wall - wall + (tick - self._tick)
        self._wall, self._tick = wall, tick
        return wall + self._offset
