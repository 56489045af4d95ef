"""The time for which a JWT is valid (RFC 7519 section 4.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

from grantway._types.quantity import finite


def time_problem(
    claims: Mapping[str, Any], *, leeway: float, max_lifetime: float, now: float
) -> str | None:
    """Return why a token is not valid at a time, or None if it is.

    Args:
        claims: Claims of the token.
        leeway: Accepted difference between clocks, in seconds.
        max_lifetime: Maximum time until the expiry, in seconds.
        now: Current time in seconds since the epoch.
    """
    exp = claims.get("exp")
    if not _is_time(exp):
        return "has no exp"
    if exp + leeway <= now:
        return f"expired {now - exp:.0f} seconds ago"
    if exp > now + max_lifetime + leeway:
        return f"expires in {exp - now:.0f} seconds, and max_lifetime is {max_lifetime:g}"
    for name in ("nbf", "iat"):
        since = claims.get(name, 0)
        if not _is_time(since):
            return f"has an {name} that is not a time"
        if since > now + leeway:
            return f"has an {name} that is {since - now:.0f} seconds in the future"
    return None


def _is_time(value: Any) -> TypeGuard[float]:
    return finite(value) is not None
