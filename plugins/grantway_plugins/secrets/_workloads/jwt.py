"""Tokens that another party signed, as secrets that expire."""

from __future__ import annotations

import math
import re
import time

from grantway._exceptions import SecretUnavailableError
from grantway._secrets.hidden_arguments import hides_arguments
from grantway._types.secret_source import Secret
from grantway_plugins._jwt import unverified_expiry

#: A JWT in the compact serialization (RFC 7519 section 7.1).
_JWT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")


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
    if not _JWT.fullmatch(token):
        raise SecretUnavailableError(f"{where} contains no JWT; {renewal}")
    expires_at = unverified_expiry(token)
    if (late := time.time() - expires_at) >= 0:
        raise SecretUnavailableError(f"the token in {where} expired {late:.0f} s ago; {renewal}")
    return Secret(token, expires_at if math.isfinite(expires_at) else None)
