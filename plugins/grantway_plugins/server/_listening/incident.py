"""Log a repeated problem once."""

from __future__ import annotations

import logging
import time

#: Seconds without the problem after which it is logged again.
_QUIET = 60.0


class Incident:
    """Logs a warning for the first of many equal problems.

    Args:
        log: The logger.
        message: The warning.
    """

    def __init__(self, log: logging.Logger, message: str) -> None:
        self._log, self._message = log, message
        self._last = float("-inf")

    def happened(self) -> None:
        """Log the problem, unless it also occurred within the last minute."""
        now = time.monotonic()
        if now - self._last > _QUIET:
            self._log.warning("%s (logged again after a minute without it)", self._message)
        self._last = now
