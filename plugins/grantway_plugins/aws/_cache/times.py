"""Times as they stand in the AWS tools' cache files."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_TIME = re.compile(
    r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(\.\d{1,9})?(Z|UTC|[+-]\d{2}:\d{2})", re.ASCII
)
#: For messages: what ``read_time`` takes.
FORMS = "2026-01-02T03:04:05Z, 2026-01-02T03:04:05.354Z or 2026-01-02T03:04:05UTC"


def read_time(text: object) -> float | None:
    """Unix time of any form that an AWS tool has written; None for anything else.

    botocore writes ``2026-01-02T03:04:05Z``, the SDK for JavaScript milliseconds before the Z,
    older tools ``UTC`` in its place.
    """
    found = _TIME.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        return None
    seconds, fraction, zone = found.groups()
    try:
        whole = datetime.fromisoformat(seconds + ("+00:00" if zone in ("Z", "UTC") else zone))
        return whole.timestamp() + float(fraction or 0)
    except (ValueError, OverflowError):
        return None


def write_time(seconds: float) -> str:
    """A Unix time in the form that every AWS tool reads, rounded down to the second.

    Raises:
        ValueError: it is not within the years 1 to 9999.
    """
    try:
        when = datetime.fromtimestamp(seconds // 1, UTC)
    except (OverflowError, OSError) as error:
        raise ValueError(str(error)) from None
    return when.replace(tzinfo=None).isoformat(timespec="seconds") + "Z"
