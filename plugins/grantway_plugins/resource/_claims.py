"""The rules for the claims of an access token (RFC 9068 section 4, RFC 7662 section 2.2)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from grantway_plugins._jose.validity import time_problem

from ._accepted_issuer import AcceptedIssuer
from ._errors import InvalidTokenError
from ._verified_token import VerifiedToken

#: The confirmation methods that can be verified.
JKT, X5T = "jkt", "x5t#S256"


def token_of(
    claims: Mapping[str, Any], issuer: AcceptedIssuer, audiences: tuple[str, ...], now: float
) -> VerifiedToken:
    """Return the token with these claims, whose origin is verified.

    Args:
        claims: Claims of a JWT, or members of an introspection response.
        issuer: The issuer of the token, and its rules.
        audiences: The accepted audiences.
        now: Current time in seconds since the epoch.

    Raises:
        InvalidTokenError: The rules do not allow it.
    """
    timed = claims
    if "exp" not in claims and issuer.introspection is not None:  # it is optional there
        timed = {**claims, "exp": now + 1}
    problem = time_problem(timed, leeway=issuer.leeway, max_lifetime=math.inf, now=now)
    if problem:
        raise InvalidTokenError(problem)
    audience = claims.get("aud")
    named = audience if isinstance(audience, list) else [audience]
    if audience is None and not issuer.require_audience:
        named = []
    elif not any(each in named for each in audiences):
        raise InvalidTokenError(f"is not for this resource: aud must be {' or '.join(audiences)}")
    return VerifiedToken(
        issuer.issuer,
        _text(claims, "sub"),
        _text(claims, "client_id") or _text(claims, "azp"),
        _scope(claims),
        tuple(each for each in named if isinstance(each, str)),
        claims.get("exp", math.inf),
        MappingProxyType(dict(claims)),  # shared by all requests with the token
        MappingProxyType(dict(_confirmation(claims))),
    )


def _text(claims: Mapping[str, Any], name: str) -> str | None:
    value = claims.get(name)
    if value is not None and not isinstance(value, str):
        raise InvalidTokenError(f"has a {name} that is not text")
    return value or None


def _scope(claims: Mapping[str, Any]) -> frozenset[str]:
    """Return the scope: ``scope`` (RFC 8693 section 4.2), or the ``scp`` of Entra and Okta."""
    value = claims.get("scope", claims.get("scp"))
    names = value.split() if isinstance(value, str) else value or ()
    if not isinstance(names, (list, tuple)) or not all(isinstance(each, str) for each in names):
        raise InvalidTokenError("has a scope that is not text")
    return frozenset(names)


def _confirmation(claims: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the key to which the token is bound (RFC 7800); empty for a bearer token."""
    if claims.get("cnf") is None:
        return {}
    found = claims["cnf"]
    if (
        not isinstance(found, Mapping)
        or not {JKT, X5T} >= found.keys()
        or not found
        or not all(isinstance(each, str) for each in found.values())
    ):
        raise InvalidTokenError("is bound to a key in a way that is not supported")
    return found
