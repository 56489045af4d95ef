"""How long a shared store keeps a token that nobody saves anew."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from grantway._types.quantity import check_seconds

from .lease import REMEMBERED

if TYPE_CHECKING:
    from grantway._types.token import Token

#: Seconds that a token is kept past its end, for clocks that differ.
_MARGIN = 60.0


def lifetime(token: Token, keep_for: float | None, *, least: float) -> float | None:
    """Seconds to keep a token from now, or None where it is kept until it is deleted.

    Args:
        token: Whose; one that can be refreshed does not end with its access token.
        keep_for: What the store was told, or None.
        least: Seconds that the store must remember who changed the key.
    """
    ends = [] if keep_for is None else [keep_for]
    if token.refresh_token is None and token.expires_at is not None:
        ends.append(token.expires_at - time.time() + _MARGIN)
    return max(least, min(ends)) if ends else None


def checked_keep_for(seconds: float | None) -> float | None:
    """The option ``keep_for``, where it can be kept.

    Raises:
        ConfigurationError: it is not None and not a number of seconds from an hour.
    """
    if seconds is None:
        return None
    check_seconds("keep_for", seconds, least=REMEMBERED)
    return float(seconds)
