"""The deadline of a call, and waits that can be cancelled."""

from __future__ import annotations

import threading
import time

from grantway._processes.copies import OneProcess

#: Maximum seconds for one wait, below the limit of the operating system.
_LONGEST = threading.TIMEOUT_MAX / 2


class Deadline(OneProcess):
    """The deadline of a call on the monotonic clock.

    Args:
        seconds: Maximum duration of the call, including all attempts and waits.
        cancel: Setting this event interrupts every wait and prevents further attempts.
    """

    stays = "it uses the clock of this process; create one in the process that uses it"

    __slots__ = ("_cancel", "at", "seconds")

    def __init__(self, seconds: float, cancel: threading.Event | None = None) -> None:
        self.seconds = seconds
        self.at = time.monotonic() + seconds
        self._cancel = cancel

    def remaining(self) -> float:
        """Return the seconds left; zero or negative after the deadline."""
        return self.at - time.monotonic()

    @property
    def cancelled(self) -> bool:
        """Whether the caller has cancelled the call."""
        return self._cancel is not None and self._cancel.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait, at most until the deadline.

        Returns:
            True if the caller set ``cancel``, which ends the wait.
        """
        pause = max(0.0, min(seconds, self.remaining(), _LONGEST))
        if self._cancel is None:
            time.sleep(pause)
            return False
        return self._cancel.wait(pause)
