"""Times in the output of programs."""

from __future__ import annotations

import datetime as dt
from typing import Any

from grantway._types.quantity import finite


def unix_time(value: Any) -> float | None:
    """Return a Unix time from a number or RFC 3339 text; None for anything else."""
    if (seconds := finite(value)) is not None:
        return seconds
    try:
        found = dt.datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    # RFC 3339 requires a time zone.
    return found.timestamp() if found.tzinfo is not None else None
