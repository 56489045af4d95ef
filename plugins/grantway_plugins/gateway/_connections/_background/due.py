"""When the token of an idle connection is refreshed."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from grantway._types.token import Token

#: Members of token responses with the lifetime of the refresh token in seconds: several providers,
#: Keycloak, Intuit. Zero means that it does not expire.
_LIFETIMES = ("refresh_token_expires_in", "refresh_expires_in", "x_refresh_token_expires_in")
#: Part of the refresh token's lifetime after which it is used at the latest.
_PART = 0.5
#: Connections that were made together are refreshed at different times.
_EARLIEST = 0.9
#: Seconds after the end of a token without refresh token at which the connection has ended for
#: certain.
_GRACE = 60.0


def due_at(token: Token, now: float, keep_alive: float) -> float:
    """Return the time at which a connection needs work if no request causes any before.

    Args:
        token: The new token.
        now: The current time in seconds since the epoch.
        keep_alive: Seconds after which an idle token is refreshed; infinity for never.

    Returns:
        The time to refresh the token. Without a refresh token, the time at which the connection has
        ended; infinity if that is unknown.
    """
    if not token.refresh_token:
        ends_at = token.expires_at
        if ends_at is None and token.expires_in is not None:
            ends_at = now + token.expires_in
        return math.inf if ends_at is None else ends_at + _GRACE
    if math.isinf(keep_alive):
        return math.inf
    seconds = min([keep_alive, *(_PART * each for each in _lifetimes(token))])
    return now + seconds * random.uniform(_EARLIEST, 1.0)  # noqa: S311 - it protects nothing


def _lifetimes(token: Token) -> Iterator[float]:
    for name in _LIFETIMES:
        value: Any = token.extra.get(name)
        try:
            seconds = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            continue
        if 0 < seconds < math.inf:
            yield seconds
