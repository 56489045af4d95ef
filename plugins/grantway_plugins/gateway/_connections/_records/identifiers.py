"""Versions of connections, and identifiers of events."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator

#: SQL and JSON numbers of this size are exact everywhere.
_BITS = 52


def new_version() -> int:
    """Return a new version of a connection.

    It is random: a change that is sent again after a lost response recognises its own version, and
    a removed connection that is created again never has a version that a gateway still remembers.
    """
    return secrets.randbits(_BITS) or 1


def event_ids() -> Iterator[str]:
    """Return identifiers of events, whose order is the order in which they were recorded.

    An event that is sent again after a lost response has the same identifier.
    """
    started, caller, number = time.time_ns(), secrets.token_hex(4), 0
    while True:
        yield f"{started:016x}{number:08x}{caller}"
        number += 1
