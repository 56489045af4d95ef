"""Read and write times in the formats of the AWS tools' cache files."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_TIME = re.compile(
    r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(\.\d{1,9})?(Z|UTC|[+-]\d{2}:\d{2})", re.ASCII
)
#: Formats that ``read_time`` accepts, for error messages.
FORMS = "2026-01-02T03:04:05Z, 2026-01-02T03:04:05.354Z or 2026-01-02T03:04:05UTC"


def read_time(text: object) -> float | None:
    """Return the Unix time of a text in a format of any AWS tool, or None.

    botocore writes ``2026-01-02T03:04:05Z``. The SDK for JavaScript adds milliseconds. Older tools
    write ``UTC`` instead of ``Z``.
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
    """Return a Unix time in the format that every AWS tool reads, rounded down to the second.

    Raises:
        ValueError: The time is outside the years 1 to 9999.
    """
    try:
        when = datetime.fromtimestamp(seconds // 1, UTC)
    except (OverflowError, OSError) as error:
        raise ValueError(str(error)) from None
    return when.replace(tzinfo=None).isoformat(timespec="seconds") + "Z"
