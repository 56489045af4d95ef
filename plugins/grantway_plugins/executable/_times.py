"""Numbers and times in the output of programs."""

from __future__ import annotations

import contextlib
import datetime as dt
import math
from typing import Any


def unix_time(value: Any) -> float | None:
    """Return a Unix time from a number or RFC 3339 text; None for anything else."""
    if (seconds := number(value)) is not None:
        return seconds
    try:
        found = dt.datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    # RFC 3339 requires a time zone.
    return found.timestamp() if found.tzinfo is not None else None


def number(value: Any) -> float | None:
    """Return a finite number of a reply, or None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    with contextlib.suppress(OverflowError):
        return float(value) if math.isfinite(value) else None
    return None
