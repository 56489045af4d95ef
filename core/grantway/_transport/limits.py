"""Default limits of the transports, and their User-Agent."""

from __future__ import annotations

#: Maximum size of a response in bytes.
MAX_RESPONSE = 1024 * 1024
#: Timeouts in seconds for connecting and for each read.
CONNECT_TIMEOUT, READ_TIMEOUT = 5.0, 20.0


def _user_agent() -> str:
    from grantway import (  # noqa: PLC0415 - the package is lazy, and this module is part of it
        __version__,
    )

    return f"grantway/{__version__}"


USER_AGENT = _user_agent()
