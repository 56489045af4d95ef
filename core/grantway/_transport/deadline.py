"""The deadline of a call, and waits that can be cancelled."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from grantway._processes.copies import OneProcess

if TYPE_CHECKING:
    from concurrent.futures import Future

#: Maximum seconds for one wait, below the limit of the operating system.
_LONGEST = threading.TIMEOUT_MAX / 2
#: Seconds between checks whether the caller cancelled a wait for a future.
_CANCEL_CHECK = 0.1


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

    def pause(self, seconds: float) -> float:
        """Return the seconds of a wait, which ends at the deadline at the latest."""
        return max(0.0, min(seconds, self.remaining(), _LONGEST))

    def wait(self, seconds: float, until: Future[Any] | None = None) -> bool:
        """Wait, at most until the deadline.

        Args:
            seconds: Duration of the wait.
            until: Ends the wait early when it is done.

        Returns:
            True if the caller set ``cancel``, which ends the wait.
        """
        pause = self.pause(seconds)
        if until is not None:
            self._wait_for(until, pause)
            return self.cancelled
        if self._cancel is None:
            time.sleep(pause)
            return False
        return self._cancel.wait(pause)

    def _wait_for(self, until: Future[Any], pause: float) -> None:
        from concurrent.futures import wait  # noqa: PLC0415 - few calls need it

        end = time.monotonic() + pause
        check = pause if self._cancel is None else _CANCEL_CHECK
        while not self.cancelled and (left := end - time.monotonic()) > 0:
            if wait([until], min(check, left)).done:
                return
