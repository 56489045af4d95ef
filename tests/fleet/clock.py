"""Adjustable process clocks. Install them before importing grantway, which keeps references."""

from __future__ import annotations

import time

_time, _monotonic = time.time, time.monotonic


class Clock:
    """The wall clock and the monotonic clock of this process, with offsets.

    Attributes:
        passed: Seconds by which both clocks were advanced.
        wrong: Seconds by which the wall clock alone is ahead.
    """

    def __init__(self) -> None:
        self.passed = 0.0
        self.wrong = 0.0

    def time(self) -> float:
        """Return the wall clock's time, like ``time.time``."""
        return _time() + self.passed + self.wrong

    def monotonic(self) -> float:
        """Return the monotonic clock's time, like ``time.monotonic``."""
        return _monotonic() + self.passed

    def install(self) -> None:
        """Replace the clocks of the module ``time``."""
        time.time, time.monotonic = self.time, self.monotonic


#: The clock of this process.
CLOCK = Clock()
