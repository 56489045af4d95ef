"""A warning that is logged once, however often its cause repeats."""

from __future__ import annotations

import logging
import time

#: Seconds without the problem after which it counts as a new incident.
_QUIET = 60.0


class Incident:
    """Logs the first of many equal problems.

    Args:
        log: Where to.
        message: What to say.
    """

    def __init__(self, log: logging.Logger, message: str) -> None:
        self._log, self._message = log, message
        self._last = float("-inf")

    def happened(self) -> None:
        """Log the problem, unless it also happened within the last minute."""
        now = time.monotonic()
        if now - self._last > _QUIET:
            self._log.warning("%s (logged once until a minute passes without it)", self._message)
        self._last = now
