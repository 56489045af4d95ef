"""A manual clock for tests."""

from __future__ import annotations

import threading
import time

from grantway._processes.copies import OneProcess
from grantway._types.quantity import check_seconds


class FrozenClock(OneProcess):
    """A clock that advances only when ``step`` is called. Thread-safe.

    Call it to get the time in seconds since the epoch.

    ::

        clock = FrozenClock()
        with IssuerServer(clock=clock) as server:
            ...
            clock.step(600)

    Args:
        start: Initial time in seconds since the epoch; by default the current time.
    """

    stays = "its time is that of one process; create one in the process that uses it"

    def __init__(self, start: float | None = None) -> None:
        self._now = time.time() if start is None else float(start)
        self._lock = threading.Lock()

    def __call__(self) -> float:
        """Return the time in seconds since the epoch."""
        return self._now

    def step(self, seconds: float) -> float:
        """Move the clock forward.

        Args:
            seconds: Number of seconds, at least zero.

        Returns:
            The new time.

        Raises:
            ConfigurationError: The number is negative or not finite.
        """
        check_seconds("seconds", seconds, least=0)
        with self._lock:
            self._now += seconds
            return self._now

    def __repr__(self) -> str:
        return f"FrozenClock({self._now!r})"
