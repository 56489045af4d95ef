"""Settings of trusted issuers: each mistake is an error that names the setting."""

from __future__ import annotations

from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from grantway._exceptions import ConfigurationError
from grantway_plugins._jose.key_set import given_keys
from grantway_plugins.issuer import IssuerSettings, TrustedIssuer
from grantway_plugins.issuer._trust.patterns import matches

GITHUB = "https://token.actions.githubusercontent.com"
KEY = ECKey.generate_key("P-256")
PUBLIC = dict(KEY.as_dict(private=False))


@pytest.mark.parametrize(
    ("setting", "options"),
    [
        ("subjects", {"subjects": ()}),
        ("subjects", {"subjects": "repo:acme/app:*"}),
        ("subjects", {"subjects": ("",)}),
        ("subjects", {"subjects": ("a***",)}),
        ("clients", {"clients": {"a": ""}}),
        ("clients", {"clients": {"\n": "c"}}),
        ("clients", {"clients": ["a"]}),
        ("claims", {"claims": {"repository": 7}}),
        ("audiences", {"audiences": ("",)}),
        ("algorithms", {"algorithms": ("HS256",)}),
        ("algorithms", {"algorithms": ("none",)}),
        ("algorithms", {"algorithms": ()}),
        ("issuer", {"issuer": ""}),
        ("issuer", {"issuer": "http://idp.example.com"}),
        ("issuer", {"issuer": "idp"}),
        ("issuer", {"issuer": "https://idp.example.com?tenant=1"}),
        ("issuer", {"issuer": "spiffe://example.org/path", "jwks_file": "/k"}),
        ("issuer", {"issuer": "spiffe://", "jwks_file": "/k"}),
        ("jwks_uri", {"issuer": "spiffe://example.org"}),
        ("jwks_uri", {"jwks_uri": "http://idp.example.com/keys"}),
        ("jwks_uri", {"jwks_uri": "https://idp.example.com/keys", "jwks": PUBLIC}),
        ("jwks_file", {"jwks_file": 7}),
        ("token_file", {"token_file": "/token"}),
        ("ca_bundle", {"ca_bundle": "/ca", "jwks_file": "/keys"}),
        ("single_use", {"single_use": "yes"}),
        ("max_lifetime", {"max_lifetime": 0}),
        ("leeway", {"leeway": 3600}),
        ("jwks", {"jwks": {"keys": []}}),
        ("jwks", {"jwks": {"kty": "EC"}}),
        ("jwks", {"jwks": "keys"}),
        ("jwks", {"jwks": {}}),
        ("jwks", {"jwks": KEY.as_dict(private=True)}),
        ("jwks", {"jwks": OctKey.generate_key(256).as_dict()}),
        ("jwks", {"jwks": {"keys": [PUBLIC, {"kty": "oct", "k": "AA"}]}}),
        ("jwks", {"jwks": {"kty": "RSA", "e": "AQAB", "n": "A" * 171}}),
        ("jwks", {"jwks": {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}}),
    ],
)
def test_names_the_invalid_setting(setting: str, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=f"^TrustedIssuer.{setting}: ") as wrong:
        TrustedIssuer(**{"issuer": GITHUB, "subjects": ("x",), **options})
    assert list(wrong.value.errors) == [setting]
    jwks = options.get("jwks")
    for name in ("d", "k"):
        if isinstance(jwks, dict) and name in jwks:
            assert str(jwks[name]) not in str(wrong.value)


def test_an_issuer_with_given_keys_needs_no_url() -> None:
    assert TrustedIssuer("partner", ("x",), jwks=PUBLIC).issuer == "partner"
    assert TrustedIssuer("partner", ("x",), jwks_file="/keys.json").issuer == "partner"


def test_accepts_every_type_of_key_pair() -> None:
    made = [RSAKey.generate_key(2048), KEY, OKPKey.generate_key("Ed25519")]
    found = given_keys({"keys": [key.as_dict(private=False) for key in made]})
    assert len(found.keys) == 3


@pytest.mark.parametrize("trusted", [[], ("x",), (TrustedIssuer(GITHUB, ("a",)),) * 2])
def test_the_issuer_settings_check_the_list(trusted: Any) -> None:
    with pytest.raises(ConfigurationError) as wrong:
        IssuerSettings(trusted_issuers=trusted)
    assert list(wrong.value.errors) == ["trusted_issuers"]


@pytest.mark.parametrize(
    ("pattern", "value", "matching"),
    [
        ("repo:acme/app:ref:refs/heads/main", "repo:acme/app:ref:refs/heads/main", True),
        ("repo:acme/app:ref:refs/heads/main", "repo:acme/app:ref:refs/heads/main2", False),
        ("repo:acme/*:environment:prod", "repo:acme/app:environment:prod", True),
        ("repo:acme/*:environment:prod", "repo:acme/app:ref:x:environment:prod", False),
        ("repo:acme/*:environment:prod", "repo:acme/a/b:environment:prod", False),
        ("repo:acme/app:**", "repo:acme/app:ref:refs/heads/x", True),
        ("repo:acme/app:**", "repo:acme/app2:ref:refs/heads/x", False),
        ("system:serviceaccount:prod:*", "system:serviceaccount:prod:orders", True),
        ("system:serviceaccount:*", "system:serviceaccount:prod:orders", False),
        ("a.c", "abc", False),
        ("a?", "ab", False),
        ("*", "", True),
        ("**", "a\nb", True),
        ("user", "user\n", False),
        ("*a*b:**:c*d", "xaxbxb:1:2:cxd", True),
        ("*a*b:**:c*d", "xaxb:b:2:cxdx", False),
        ("**a*b**", "a:ab", True),
        ("**", "a" * 2048, True),
        ("**", "a" * 2049, False),
        # A pattern that tries every combination would take hours.
        ("*a*a*a*a*a*b", "a" * 2048, False),
        ("**a**a**a**:*a*b", "a" * 2048, False),
    ],
)
def test_patterns(pattern: str, value: str, *, matching: bool) -> None:
    assert matches(pattern, value) is matching
