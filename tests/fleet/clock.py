"""The clocks of a process, which a test may turn; imported before grantway, which keeps them."""

from __future__ import annotations

import time

_time, _monotonic = time.time, time.monotonic


class Clock:
    """Both clocks of this process, and how far they are from the true ones.

    Attributes:
        passed: Seconds that have passed without anybody waiting for them.
        wrong: Seconds by which the clock that can be set is ahead.
    """

    def __init__(self) -> None:
        self.passed = 0.0
        self.wrong = 0.0

    def time(self) -> float:
        """As ``time.time``."""
        return _time() + self.passed + self.wrong

    def monotonic(self) -> float:
        """As ``time.monotonic``."""
        return _monotonic() + self.passed

    def install(self) -> None:
        """Let whatever is imported from here on find these clocks."""
        time.time, time.monotonic = self.time, self.monotonic
