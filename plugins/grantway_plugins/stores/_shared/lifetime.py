"""Retention of tokens in shared stores."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from grantway._types.quantity import check_seconds

from .lease import REMEMBERED

if TYPE_CHECKING:
    from grantway._types.token import Token

#: Seconds that a token is kept after it expires, to allow for clock skew.
_MARGIN = 60.0


def lifetime(token: Token, keep_for: float | None, *, least: float) -> float | None:
    """Return the seconds to keep a token from now, or None to keep it until it is deleted.

    Args:
        token: The token. The expiry counts only if there is no refresh token.
        keep_for: The store's option ``keep_for``.
        least: Minimum in seconds, during which the store must remember the key's last fence.
    """
    limits = [] if keep_for is None else [keep_for]
    if token.refresh_token is None and token.expires_at is not None:
        limits.append(token.expires_at - time.time() + _MARGIN)
    return max(least, min(limits)) if limits else None


def check_keep_for(seconds: float | None) -> float | None:
    """Return the store option ``keep_for`` in seconds, or None.

    Raises:
        ConfigurationError: It is neither None nor a number from 3600.
    """
    if seconds is None:
        return None
    check_seconds("keep_for", seconds, least=REMEMBERED)
    return float(seconds)
