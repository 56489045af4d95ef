"""Tests that no frame of a traceback shows an unusable key or secret."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey

import grantway
from grantway_plugins.client_auth import ClientSecretJwt, DPoP, PrivateKeyJwt, SigningKey
from grantway_plugins.profiles._profile import Profile, ProfileFile

MARK = "very-secret-01"
#: Module level, because tracebacks also show the frames of the tests.
HELD: dict[str, Any] = {
    "damaged": f"-----BEGIN PRIVATE KEY-----\n{MARK}\n-----END PRIVATE KEY-----",
    "jwk": {"kty": "EC", "crv": "P-256", "d": MARK, "x": MARK, "y": MARK},
    "whole": ECKey.generate_key("P-256").as_pem(private=True).decode(),
    "short": MARK,
}
MADE: dict[str, Callable[[], object]] = {
    "a damaged key": lambda: SigningKey(HELD["damaged"]),
    "a damaged JWK": lambda: SigningKey(HELD["jwk"]),
    "a key for another algorithm": lambda: SigningKey(HELD["whole"], alg="RS256"),
    "a wrong password": lambda: SigningKey(HELD["damaged"], password=HELD["short"]),
    "a short secret": lambda: SigningKey.shared(HELD["short"], "HS512"),
    "private_key_jwt": lambda: PrivateKeyJwt("c", HELD["damaged"]),
    "private_key_jwt without a lifetime": lambda: PrivateKeyJwt("c", HELD["whole"], lifetime=0),
    "client_secret_jwt": lambda: ClientSecretJwt("c", HELD["short"]),
    "DPoP": lambda: DPoP(grantway.NoAuth("c"), HELD["jwk"]),
}
PROFILES = {
    "a short secret": 'client_secret = "{mark}"\nauth = "client_secret_jwt"',
    "an unknown method": 'client_secret = "{mark}"\nauth = "no-such-method"',
    "a missing option": 'client_secret = {{source = "env"}}\nextra = {{ x = "{mark}" }}',
    "an unknown option": 'client_secret = {{source = "env", name = "X", key = "{mark}"}}',
    "a wrong parameter": 'client_secret = "{mark}"\nparams = {{ no_such = "{mark}" }}',
    "a wrong rule": 'client_secret = "{mark}"\ntimeout = -1',
}


def assert_clean(make: Callable[[], object]) -> None:
    with pytest.raises(grantway.ConfigurationError) as caught:
        make()
    text = "".join(
        traceback.TracebackException.from_exception(caught.value, capture_locals=True).format()
    )
    assert MARK not in text
    assert HELD["whole"].splitlines()[1] not in text


@pytest.mark.parametrize("name", MADE)
def test_a_traceback_hides_an_unusable_key(name: str) -> None:
    assert_clean(MADE[name])


@pytest.mark.parametrize("name", PROFILES)
def test_a_traceback_hides_the_secret_of_an_unusable_profile(name: str, tmp_path: Path) -> None:
    path = tmp_path / "grantway.toml"
    path.write_text(
        '[profiles.a]\ngrant = "client_credentials"\nclient_id = "c"\n'
        'provider = { token_endpoint = "https://login.example.com/token" }\n'
        + PROFILES[name].format(mark=MARK),
        encoding="utf-8",
    )
    assert_clean(lambda: Profile(ProfileFile(path), "a").client())
