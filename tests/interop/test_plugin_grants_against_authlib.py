"""Tests of the plugin grants that Authlib's server supports."""

from __future__ import annotations

from collections.abc import Iterator
from time import time
from typing import Any

import pytest
from joserfc.jwk import ECKey

import grantway
from grantway_plugins.client_auth import SigningKey
from grantway_plugins.grants import jwt_bearer, password
from grantway_plugins.grants.password import PasswordGrantWarning
from tests.interop.authlib_server import ISSUER, SECRET, USER, AuthlibServer

PARTNER = "https://idp.example"
KEY = ECKey.generate_key("P-256")


@pytest.fixture(scope="module")
def client() -> Iterator[grantway.Client]:
    with pytest.warns(PasswordGrantWarning):
        registry = grantway.build_registry({"password": password}, strict=True)
    with (
        AuthlibServer(PARTNER, ECKey.import_key(KEY.as_dict(private=False))) as server,
        grantway.Client(
            grantway.Provider(server.token_endpoint),
            client_id="me",
            client_secret=SECRET,
            registry=registry,
        ) as made,
    ):
        yield made


def assertion(**claims: Any) -> str:
    now = int(time())
    usual = {"iss": PARTNER, "sub": "user-1", "aud": ISSUER, "iat": now, "exp": now + 60}
    return SigningKey(KEY).sign({}, {**usual, **claims})


def test_gets_a_token_with_client_credentials(client: grantway.Client) -> None:
    token = client.create_token(grant_type="client_credentials", scope=["read", "write"])
    assert token.scope == ("read", "write")
    with pytest.raises(grantway.InvalidScopeException):
        client.create_token(grant_type="client_credentials", scope="all")


def test_gets_a_token_with_an_assertion(client: grantway.Client) -> None:
    token = client.create_token(
        grant_type=jwt_bearer.GRANT_TYPE, assertion=assertion(), scope="read"
    )
    assert token.access_token
    assert token.scope == ("read",)


@pytest.mark.parametrize(
    "claims", [{"sub": "someone-else"}, {"aud": "https://other.example"}, {"exp": 1}, {"iss": "x"}]
)
def test_rejects_an_untrusted_assertion(client: grantway.Client, claims: dict[str, Any]) -> None:
    with pytest.raises(grantway.InvalidGrantException):
        client.create_token(grant_type=jwt_bearer.GRANT_TYPE, assertion=assertion(**claims))


def test_gets_a_token_with_a_password(client: grantway.Client) -> None:
    username, word = USER
    token = client.create_token(
        grant_type="password", username=username, password=word, scope="read"
    )
    assert token.access_token
    with pytest.raises(grantway.TokenError) as rejected:
        client.create_token(grant_type="password", username=username, password="wrong hörse")
    assert "wrong" not in str(rejected.value)
