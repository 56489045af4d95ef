"""The log of the gateway's processes on standard error."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from grantway_plugins.server._log_format import LogFormat, log_to_stderr
from grantway_plugins.server._tls.certificate import logger as tls_log


@dataclass(frozen=True, slots=True)
class LogSettings:
    """Settings of the log.

    Attributes:
        log_format: Format of the records.
        verbose: Whether to log more.
    """

    log_format: LogFormat = "text"
    verbose: bool = False

    def apply(self) -> None:
        """Send the log records of this process to standard error."""
        log_to_stderr(self.log_format, logging.INFO if self.verbose else logging.WARNING)
        tls_log.setLevel(logging.INFO)
        # Clients that send invalid HTTP would fill the log with warnings.
        logging.getLogger("uvicorn.error").setLevel(logging.INFO if self.verbose else logging.ERROR)
