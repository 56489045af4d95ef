"""Read JWTs of other parties without verifying their signatures (RFC 7519)."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

_PARTS = 3


def unverified_part(part: str) -> dict[str, Any]:
    """Return the decoded header or payload of a JWT, or an empty mapping if it is invalid."""
    try:
        found = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def unverified_claims(token: str) -> dict[str, Any]:
    """Return the claims of a JWT, or an empty mapping if the text is not a JWT."""
    parts = token.split(".")
    return unverified_part(parts[1]) if len(parts) == _PARTS else {}


def unverified_expiry(token: str) -> float:
    """Return the ``exp`` of a JWT as Unix time; infinity if the text has none."""
    end = unverified_claims(token).get("exp")
    if not isinstance(end, (int, float)) or isinstance(end, bool):
        return math.inf
    try:
        seconds = float(end)
    except OverflowError:
        return math.inf if end > 0 else 0.0
    return math.inf if math.isnan(seconds) else seconds
