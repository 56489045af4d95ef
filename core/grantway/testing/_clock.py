"""A clock that moves when a test says so."""

from __future__ import annotations

import threading
import time

from grantway._processes.copies import OneProcess
from grantway._types.quantity import check_seconds


class FrozenClock(OneProcess):
    """Seconds since the epoch that stand still. Call it for the time; ``step`` it to move on.

    ::

        clock = FrozenClock()
        with IssuerServer(clock=clock) as server:
            ...
            clock.step(600)

    Safe for threads.

    Args:
        start: The first time it tells, in seconds since the epoch; by default the time now.
    """

    stays = "its time moves in this process alone; make one in the process that uses it"

    def __init__(self, start: float | None = None) -> None:
        self._now = time.time() if start is None else float(start)
        self._lock = threading.Lock()

    def __call__(self) -> float:
        """The time, in seconds since the epoch."""
        return self._now

    def step(self, seconds: float) -> float:
        """Let time pass.

        Args:
            seconds: How much; zero or more.

        Returns:
            The time after the step.

        Raises:
            ConfigurationError: the clock would go backwards, or nowhere.
        """
        check_seconds("seconds", seconds, least=0)
        with self._lock:
            self._now += seconds
            return self._now

    def __repr__(self) -> str:
        return f"FrozenClock({self._now!r})"
