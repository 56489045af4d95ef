"""From the claims of a provider to a user of the issuer."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from grantway._secrets.redaction import printable
from grantway_plugins.issuer._extensions.errors import InvalidArgumentError
from grantway_plugins.issuer._login.interface import Identity, LoginFailure
from grantway_plugins.issuer._login.settings import OpenIDLogin
from grantway_plugins.issuer._trust.patterns import matches

#: The claims that are stored (OpenID Connect Core section 5.1), and the groups of many providers.
STORED = frozenset(
    {
        "address",
        "birthdate",
        "email",
        "email_verified",
        "family_name",
        "gender",
        "given_name",
        "groups",
        "locale",
        "middle_name",
        "name",
        "nickname",
        "phone_number",
        "phone_number_verified",
        "picture",
        "preferred_username",
        "profile",
        "updated_at",
        "website",
        "zoneinfo",
    }
)
_SHOWN = 200


def identity(claims: Mapping[str, Any], settings: OpenIDLogin) -> Identity | LoginFailure:
    """Return the user of a provider's claims, or why the user may not log in.

    Args:
        claims: The validated claims of the ID token and of the userinfo endpoint.
        settings: Settings of the login.
    """
    for claim, patterns in settings.allow.items():
        if not _allowed(claim, claims, patterns):
            return LoginFailure(
                "Your account may not log in here. Log in with another account, or ask the "
                "operator of this site for access.",
                f"allow.{claim}: the user {shown(claims['sub'])} has {_described(claim, claims)}",
                other_account=True,
            )
    subject = subject_of(claims, settings.subject_claim, settings.subject_prefix)
    if subject is None:
        return LoginFailure(
            "Your account lacks a property that this site needs. Ask its operator for help.",
            f"subject_claim: the user {shown(claims['sub'])} has "
            f"{_described(settings.subject_claim or '', claims)}",
            other_account=True,
        )
    stored = {name: value for name, value in claims.items() if name in STORED}
    try:
        return Identity(subject, stored, claims.get("auth_time"))
    except InvalidArgumentError as error:
        return LoginFailure(
            "Your account cannot be used here. Ask the operator of this site for help.",
            f"the user {shown(claims['sub'])}: {error}",
            other_account=True,
        )


def shown(value: object) -> str:
    """Return a provider's text for the log."""
    return printable(str(value))[:_SHOWN]


def subject_of(claims: Mapping[str, Any], claim: str | None, prefix: str) -> str | None:
    """Return the ``sub`` of a provider's user at the issuer; None if the claim is unusable.

    Args:
        claims: The validated claims, with ``iss`` and ``sub``.
        claim: See ``OpenIDLogin.subject_claim``.
        prefix: See ``OpenIDLogin.subject_prefix``.
    """
    if claim is None:
        named = json.dumps([claims["iss"], claims["sub"]])
        hashed = hashlib.sha256(named.encode()).digest()
        return base64.urlsafe_b64encode(hashed).rstrip(b"=").decode("ascii")
    values = _values(claim, claims)
    return f"{prefix}{values[0]}" if len(values) == 1 and values[0] else None


def _allowed(claim: str, claims: Mapping[str, Any], patterns: tuple[str, ...]) -> bool:
    lower = claim == "email"
    return any(
        matches(pattern.lower() if lower else pattern, value.lower() if lower else value)
        for value in _values(claim, claims)
        for pattern in patterns
    )


def _values(claim: str, claims: Mapping[str, Any]) -> list[str]:
    """Return the texts in a claim; none for an address that the provider has not verified."""
    if claim == "email" and claims.get("email_verified") is not True:
        return []
    value = claims.get(claim)
    values = value if isinstance(value, list) else [value]
    return [each for each in values if isinstance(each, str)]


def _described(claim: str, claims: Mapping[str, Any]) -> str:
    if claims.get(claim) is None:
        return f"no {claim}"
    if claim == "email" and claims.get("email_verified") is not True:
        return f"an {claim} that the provider does not call verified"
    return f"the {claim} {shown(claims[claim])}"
