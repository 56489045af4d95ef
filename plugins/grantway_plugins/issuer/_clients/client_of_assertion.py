"""The client that a request with ``private_key_jwt`` claims to be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from grantway_plugins._jwt import unverified_claims

PARAMETER = "client_assertion"
#: Maximum length of an assertion, in characters.
MAX_ASSERTION = 16_384


def client_of_assertion(params: Mapping[str, Any]) -> str | None:
    """Return the issuer of a request's assertion if it is also the subject, or None.

    The assertion is not verified.
    """
    assertion = params.get(PARAMETER)
    if not isinstance(assertion, str):
        return None
    claims = unverified_claims(assertion[:MAX_ASSERTION])
    issuer = claims.get("iss")
    return issuer if isinstance(issuer, str) and issuer == claims.get("sub") else None
