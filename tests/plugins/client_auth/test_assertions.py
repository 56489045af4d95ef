"""Tests of private_key_jwt and client_secret_jwt."""

from __future__ import annotations

import pickle
import time
from typing import Any
from urllib.parse import urlencode

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey

import grantway
from grantway._exceptions import (
    ConfigurationError,
    ConnectionFailedError,
    InvalidClientException,
)
from grantway._requests.client_auth import ClientAuth
from grantway._requests.retry import RetryPolicy
from grantway_plugins.client_auth import ClientSecretJwt, PrivateKeyJwt, SigningKey
from tests.plugins.client_auth.scripted import (
    ISSUER,
    TOKEN_ENDPOINT,
    Scripted,
    answer,
    form,
    header_of,
    refusal,
    token,
    verified,
)

KEY = ECKey.generate_key("P-256", {"kid": "k1"})
SECRET = "shared secret + with % reserved & characters, 64 bytes or longer"


def client(
    transport: Scripted, auth: ClientAuth, *, issuer: str | None = ISSUER, **metadata: str
) -> grantway.Client:
    provider = grantway.Provider(TOKEN_ENDPOINT, issuer=issuer, metadata=metadata)
    return grantway.Client(
        provider,
        client_id="my-client",
        auth=auth,
        transport=transport,
        retry=RetryPolicy(base=0),
    )


def refresh(transport: Scripted, auth: ClientAuth, *, issuer: str | None = ISSUER) -> jwt.Token:
    """Request a token, and return the last assertion after verifying it."""
    client(transport, auth, issuer=issuer).create_token(
        grant_type="refresh_token", refresh_token="rt-1"
    )
    sent = form(transport.requests[-1])
    assert sent["client_assertion_type"] == (
        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    )
    assert "client_secret" not in sent
    assert "Authorization" not in transport.requests[-1].headers
    return read(sent["client_assertion"])


def read(assertion: str) -> jwt.Token:
    symmetric = header_of(assertion)["alg"].startswith("HS")
    key = OctKey.import_key(SECRET).as_dict() if symmetric else KEY.as_dict(private=False)
    return verified(assertion, key)


def test_the_assertion_has_the_claims_of_rfc_7523() -> None:
    before = int(time.time())
    seen = refresh(Scripted([token()]), PrivateKeyJwt("my-client", KEY))
    assert seen.header == {"alg": "ES256", "kid": "k1", "typ": "client-authentication+jwt"}
    claims = seen.claims
    assert set(claims) == {"iss", "sub", "aud", "iat", "exp", "jti"}
    assert claims["iss"] == claims["sub"] == "my-client"
    assert claims["aud"] == ISSUER
    assert before <= claims["iat"] <= time.time()
    assert claims["exp"] == claims["iat"] + 60


def test_the_audience_defaults_to_the_token_endpoint_and_can_be_set() -> None:
    auth = PrivateKeyJwt("my-client", KEY)
    assert refresh(Scripted([token()]), auth, issuer=None).claims["aud"] == TOKEN_ENDPOINT
    auth = PrivateKeyJwt("my-client", KEY, audience="https://as.example/realm")
    assert refresh(Scripted([token()]), auth).claims["aud"] == "https://as.example/realm"


def test_every_attempt_has_a_new_assertion() -> None:
    """A provider that remembers ``jti`` would reject a repeated one."""
    transport = Scripted([ConnectionFailedError("down"), answer(503, {}), token()])
    refresh(transport, PrivateKeyJwt("my-client", KEY))
    sent = [read(form(request)["client_assertion"]).claims["jti"] for request in transport.requests]
    assert len(set(sent)) == 3


def test_uses_the_given_header_and_lifetime() -> None:
    auth = PrivateKeyJwt(
        "my-client", KEY, lifetime=10, header={"typ": "JWT", "x5t#S256": "abc", "alg": "none"}
    )
    seen = refresh(Scripted([token()]), auth)
    assert seen.header == {"alg": "ES256", "kid": "k1", "typ": "JWT", "x5t#S256": "abc"}
    assert seen.claims["exp"] == seen.claims["iat"] + 10
    with pytest.raises(ConfigurationError, match="lifetime"):
        PrivateKeyJwt("my-client", KEY, lifetime=0)


def test_the_secret_signs_and_is_not_sent() -> None:
    transport = Scripted([token()])
    seen = refresh(transport, ClientSecretJwt("my-client", SECRET, alg="HS512"))
    assert seen.header["alg"] == "HS512"
    assert "kid" not in seen.header
    assert seen.claims["aud"] == ISSUER
    assert urlencode({"": SECRET})[1:].encode() not in transport.requests[0].body


def test_authenticates_at_other_endpoints() -> None:
    transport = Scripted([answer(200, {})])
    auth = PrivateKeyJwt("my-client", KEY)
    client(transport, auth, revocation_endpoint="https://as.example/revoke").call(
        "revocation", token="rt-1"
    )
    sent = form(transport.requests[0])
    assert sent["token"] == "rt-1"
    assert read(sent["client_assertion"]).claims["aud"] == ISSUER


def test_errors_do_not_show_an_echoed_assertion() -> None:
    def echo(request: Any) -> Any:
        return refusal("invalid_client", f"bad assertion {form(request)['client_assertion']}")

    with pytest.raises(InvalidClientException) as caught:
        refresh(Scripted([echo]), PrivateKeyJwt("my-client", KEY))
    assert caught.value.error_description == "bad assertion ***"


@pytest.mark.parametrize(
    "auth",
    [PrivateKeyJwt("my-client", SigningKey(KEY)), ClientSecretJwt("my-client", SECRET)],
    ids=["key", "secret"],
)
def test_the_repr_hides_secrets_and_pickling_fails(auth: ClientAuth) -> None:
    assert SECRET not in repr(auth)
    assert str(KEY["d"]) not in repr(auth)
    with pytest.raises(TypeError, match="cannot be pickled: it holds a private key"):
        pickle.dumps(auth)
