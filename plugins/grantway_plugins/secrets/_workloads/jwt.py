"""The expiry of a token that another party signed, read without verifying it."""

from __future__ import annotations

import base64
import json
import math
import re
import time

from grantway._exceptions import SecretUnavailableError
from grantway._secrets.hidden_arguments import hides_arguments
from grantway._types.secret_source import Secret

#: A JWT in the compact serialization (RFC 7519 section 7.1).
_JWT = re.compile(r"[A-Za-z0-9_-]+\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]*")


@hides_arguments
def jwt_secret(token: str, where: str, renewal: str) -> Secret:
    """Return a JWT as a secret that is read again before it expires.

    Args:
        token: The JWT. Its signature is for the provider to verify.
        where: The place of the token, for errors.
        renewal: What to check if the token has expired, for errors.

    Raises:
        SecretUnavailableError: The text is not a JWT, or it has expired.
    """
    found = _JWT.fullmatch(token)
    if found is None:
        raise SecretUnavailableError(f"{where} contains no JWT; {renewal}")
    expires_at = _expiry(found[1])
    if expires_at is not None and (late := time.time() - expires_at) >= 0:
        raise SecretUnavailableError(f"the token in {where} expired {late:.0f} s ago; {renewal}")
    return Secret(token, expires_at)


def _expiry(payload: str) -> float | None:
    """Return the ``exp`` claim, or None if there is none."""
    try:
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        expires_at = float(claims["exp"])
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
        return None
    return expires_at if math.isfinite(expires_at) else None
