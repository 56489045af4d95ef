"""Log messages about stores that return no token."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from grantway._exceptions import StoreError

if TYPE_CHECKING:
    from ._route import Route

#: Seconds between two log lines about the same error code.
_LOG_EVERY = 60.0

_log = logging.getLogger("grantway.gateway")


class StoreFailures:
    """Logs why a store returns no token, because responses to requests do not say it.

    A failure is logged at most once per minute and error code.

    Args:
        clock: Returns seconds of a monotonic clock.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._logged: dict[str, float] = {}

    def failed(self, route: Route, error: Exception) -> None:
        """Log a failure; ignore errors that are not from a store."""
        if not isinstance(error, StoreError):
            return
        now = self._clock()
        if now - self._logged.get(error.code, -_LOG_EVERY) < _LOG_EVERY:
            return
        self._logged[error.code] = now
        _log.error(
            "No token for a request of route %s: %s: %s", route.name, error.code, error.message
        )


#: Shared by all routes of a process, so that a store that is down does not fill the log.
STORE_FAILURES = StoreFailures()
