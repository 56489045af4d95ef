"""Check an identity assertion before it is sent, without verifying its signature."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from grantway._secrets.redaction import MASK, printable
from grantway._types.token import Token
from grantway_plugins._jwt import unverified_claims, unverified_expiry, unverified_part

from ._fields import ID_JAG_TYP, Jwt
from .token_exchange import ID_JAG

#: Accepted difference between the clocks of the client and the identity provider, in seconds.
_LEEWAY = 60.0
#: A word that could be a token: a provider may send back the token that it got.
_LONG_WORD = re.compile(r"[\w~+=-]{20,}", re.ASCII)


def problem_of(token: Token, expected: Mapping[str, Any], resources: Sequence[str]) -> str:
    """Return why the response of an identity provider is not usable, or an empty string.

    The text continues "The response ...".

    Args:
        token: The response to the token exchange.
        expected: Claims of the assertion; None for a value that is not known.
        resources: Requested resources, which a ``resource`` claim must contain.
    """
    return _response_problem(token) or claims_problem(token.access_token, expected, resources)


def _response_problem(token: Token) -> str:
    issued = token.extra.get("issued_token_type")
    if issued != ID_JAG:
        return f"has the issued_token_type {_shown(issued)}, not {ID_JAG}"
    if token.token_type.lower() != "n_a":
        return f"has the token_type {_shown(token.token_type)}, not N_A"
    return ""


def claims_problem(assertion: str, expected: Mapping[str, Any], resources: Sequence[str]) -> str:
    """Return why an assertion must not be sent, or an empty string; see ``problem_of``."""
    claims = unverified_claims(assertion)
    typ = unverified_part(assertion.partition(".")[0]).get("typ")
    if not Jwt.characters.fullmatch(assertion) or str(typ).lower() != ID_JAG_TYP:
        return f"is no JWT with the typ {ID_JAG_TYP}"
    for name, value in expected.items():
        found = claims.get(name)
        if value is not None and found != value and not (name == "aud" and found == [value]):
            return f"is an assertion with the {name} {_shown(found)}, not {value}"
    named = claims.get("resource", resources)
    allowed = named if isinstance(named, Sequence) and not isinstance(named, str) else [named]
    missing = [each for each in resources if each not in allowed]
    if missing:
        return f"is an assertion for the resource {_shown(named)}, not {missing[0]}"
    if unverified_expiry(assertion) + _LEEWAY <= time.time():
        return "is an assertion that has expired; compare the clocks"
    return ""


def _shown(value: object) -> str:
    return _LONG_WORD.sub(MASK, printable(str(value)))
