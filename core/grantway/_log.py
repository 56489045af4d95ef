"""The logger ``grantway``, which imports ``logging`` for its first message."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from logging import Logger

_DEBUG = 10  # logging.DEBUG


class _Log:
    """Behaves as the logger. A program that does not use ``logging`` starts faster without it."""

    def __init__(self) -> None:
        self._logger: Logger | None = None

    def __getattr__(self, name: str) -> Any:
        if self._logger is None:
            import logging  # noqa: PLC0415 - see above

            self._logger = logging.getLogger("grantway")
        return getattr(self._logger, name)

    @property
    def shows_debug(self) -> bool:
        """Whether debug messages are shown. Only a program that uses ``logging`` enables them."""
        return "logging" in sys.modules and bool(self.isEnabledFor(_DEBUG))


logger = _Log()
