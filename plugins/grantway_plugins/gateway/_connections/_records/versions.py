"""Versions of connections."""

from __future__ import annotations

import secrets

#: SQL and JSON numbers of this size are exact everywhere.
_BITS = 52


def new_version() -> int:
    """Return a new version of a connection.

    It is random: a change that is sent again after a lost response recognises its own version, and
    a removed connection that is created again never has a version that a gateway still remembers.
    """
    return secrets.randbits(_BITS) or 1
