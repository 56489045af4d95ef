"""The user of an OpenID provider's claims."""

from __future__ import annotations

from typing import Any

import pytest

from grantway_plugins.issuer import Identity, LoginFailure, OpenIDLogin
from grantway_plugins.issuer._login.openid.identity import identity

CLAIMS = {
    "iss": "https://login.example.com",
    "sub": "u-1",
    "email": "Ada@Example.com",
    "email_verified": True,
    "groups": ["staff", "ops"],
    "hd": "example.com",
    "nonce": "n",
    "at_hash": "h",
    "custom": "kept nowhere",
}


def of(claims: dict[str, Any], **settings: Any) -> Identity | LoginFailure:
    login = OpenIDLogin("https://login.example.com", "issuer", **settings)
    return identity(claims, login)


def subject(claims: dict[str, Any], **settings: Any) -> str:
    found = of(claims, **settings)
    assert isinstance(found, Identity), found
    return found.subject


def test_the_subject_is_unique_for_each_provider() -> None:
    own = subject(CLAIMS)
    assert own == subject({**CLAIMS, "email": "other@example.com"})
    assert own != subject({**CLAIMS, "iss": "https://other.example"})
    assert own != subject({**CLAIMS, "sub": "u-2"})
    one, other = {"iss": "https://a/b", "sub": "c"}, {"iss": "https://a/", "sub": "bc"}
    assert subject(one) != subject(other)
    assert len(own) == 43


def test_only_standard_claims_are_stored() -> None:
    found = of({**CLAIMS, "auth_time": 5})
    assert isinstance(found, Identity)
    assert set(found.claims) == {"email", "email_verified", "groups"}
    assert found.auth_time == 5


@pytest.mark.parametrize(
    ("claims", "settings", "expected"),
    [
        ({}, {"subject_claim": "sub"}, "u-1"),
        ({}, {"subject_claim": "email", "subject_prefix": "corp:"}, "corp:Ada@Example.com"),
        ({"groups": ["one"]}, {"subject_claim": "groups"}, "one"),
    ],
)
def test_a_claim_can_be_the_subject(
    claims: dict[str, Any], settings: dict[str, Any], expected: str
) -> None:
    assert subject({**CLAIMS, **claims}, **settings) == expected


@pytest.mark.parametrize(
    ("claims", "claim"),
    [
        ({}, "missing"),
        ({"email": ""}, "email"),
        ({"email_verified": False}, "email"),
        ({"email_verified": "true"}, "email"),
        ({"email": "a" * 256}, "email"),
        ({"custom": 5}, "custom"),
        ({}, "groups"),
    ],
)
def test_a_claim_that_cannot_be_the_subject(claims: dict[str, Any], claim: str) -> None:
    found = of({**CLAIMS, **claims}, subject_claim=claim)
    assert isinstance(found, LoginFailure)
    assert found.other_account


@pytest.mark.parametrize(
    ("allow", "allowed"),
    [
        ({"email": ("*@example.com",)}, True),
        ({"email": ("*@EXAMPLE.com",)}, True),
        ({"email": ("*@other.example", "**@example.com")}, True),
        ({"email": ("*@example.co",)}, False),
        ({"email": ("*",), "groups": ("ops",)}, True),
        ({"groups": ("admins", "op*")}, True),
        ({"groups": ("admins",)}, False),
        ({"groups": ("OPS",)}, False),
        ({"hd": ("example.com",)}, True),
        ({"missing": ("**",)}, False),
        ({"email_verified": ("**",)}, False),
    ],
)
def test_rules_for_allowed_users(allow: dict[str, tuple[str, ...]], allowed: bool) -> None:
    found = of(CLAIMS, allow=allow)
    assert isinstance(found, Identity) is allowed
    if isinstance(found, LoginFailure):
        assert next(iter(allow)) in found.detail
        assert "example.com" not in found.message


@pytest.mark.parametrize("verified", [False, None, "true", 1])
def test_an_address_counts_only_if_it_is_verified(verified: Any) -> None:
    found = of({**CLAIMS, "email_verified": verified}, allow={"email": ("**",)})
    assert isinstance(found, LoginFailure)
    assert "does not call verified" in found.detail


def test_claims_that_are_too_large_are_rejected() -> None:
    found = of({**CLAIMS, "picture": "p" * 20_000})
    assert isinstance(found, LoginFailure)
    assert "claims must be" in found.detail
