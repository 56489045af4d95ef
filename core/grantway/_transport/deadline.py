"""One end for a whole call, and waits that can be interrupted."""

from __future__ import annotations

import threading
import time

from grantway._processes.copies import OneProcess

#: Seconds, far more than any wait; the system takes no number much larger.
_LONGEST = threading.TIMEOUT_MAX / 2


class Deadline(OneProcess):
    """The moment at which a call gives up, on the monotonic clock.

    Args:
        seconds: How long the call may take, over all attempts and waits.
        cancel: Ends every wait at once when it is set, and refuses further attempts.
    """

    stays = "it runs by this process's clock; make one in the process that uses it"

    __slots__ = ("_cancel", "at", "seconds")

    def __init__(self, seconds: float, cancel: threading.Event | None = None) -> None:
        self.seconds = seconds
        self.at = time.monotonic() + seconds
        self._cancel = cancel

    def remaining(self) -> float:
        """Seconds left; zero or less when it is over."""
        return self.at - time.monotonic()

    @property
    def cancelled(self) -> bool:
        """Whether the caller has called it off."""
        return self._cancel is not None and self._cancel.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait, but no longer than the deadline.

        Returns:
            True when the caller set ``cancel``; the rest of the time was not waited.
        """
        pause = max(0.0, min(seconds, self.remaining(), _LONGEST))
        if self._cancel is None:
            time.sleep(pause)
            return False
        return self._cancel.wait(pause)
