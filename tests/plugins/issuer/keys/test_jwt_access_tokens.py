"""JWT access tokens (RFC 9068), checked with other libraries and by the issuer itself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import jwt as pyjwt
import pytest
import requests
from authlib.oauth2.rfc9068 import JWTBearerTokenValidator
from joserfc import jwt
from joserfc.jwk import KeySet

from grantway._exceptions import ConfigurationError
from grantway_plugins.grants import client_credentials, token_exchange
from grantway_plugins.grants.token_exchange import ACCESS_TOKEN, JWT
from grantway_plugins.issuer import (
    IssuerServer,
    IssuerSettings,
    KeySettings,
    Resource,
)
from tests.plugins.issuer.conftest import Caller, Clock

API = "https://api.example.com/"
OPAQUE = "https://old.example.com/"
CREDENTIALS = client_credentials.GRANT_TYPE
GRANTS = ["authorization_code", "refresh_token", CREDENTIALS, token_exchange.GRANT_TYPE]


@pytest.fixture
def settings() -> IssuerSettings:
    return IssuerSettings(
        registration="unrestricted",
        access_token_format="jwt",
        resources=(Resource(API), Resource(OPAQUE, access_token_format="opaque")),
        keys=KeySettings(enabled=True, algorithms=("ES256",)),
    )


@pytest.fixture
def clock() -> Clock:
    """Starts at the current time, with which the libraries compare the claims."""
    clock = Clock()
    clock.now = time.time()
    return clock


@pytest.fixture
def server(clock: Clock, settings: IssuerSettings) -> Iterator[IssuerServer]:
    with IssuerServer(settings, clock=clock) as running:
        yield running


@pytest.fixture
def client(caller: Caller) -> Caller:
    return caller.register_rfc(grant_types=GRANTS)


def published(server: IssuerServer) -> dict[str, Any]:
    metadata = requests.get(f"{server.url}/.well-known/oauth-authorization-server", timeout=10)
    found: dict[str, Any] = requests.get(metadata.json()["jwks_uri"], timeout=10).json()
    return found


def claims_of(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = pyjwt.decode(token, options={"verify_signature": False})
    return claims


def test_has_the_claims_of_rfc_9068(server: IssuerServer, client: Caller, clock: Clock) -> None:
    made = client.login(scope="a")
    token = jwt.decode(
        made["access_token"], KeySet.import_key_set(published(server)), algorithms=["ES256"]
    )
    assert token.header["typ"] == "at+jwt"
    assert (made["token_type"], made["expires_in"]) == ("Bearer", 3600)
    assert token.claims.pop("jti")
    assert token.claims == {
        "iss": server.url,
        "sub": "local-user",
        "aud": server.url,
        "client_id": client.id,
        "scope": "a",
        "iat": int(clock()),
        "exp": int(clock()) + 3600,
    }


def test_pyjwt_verifies_a_token_for_a_resource(server: IssuerServer, client: Caller) -> None:
    token = client.login(resource=API)["access_token"]
    key = pyjwt.PyJWKClient(f"{server.url}/jwks").get_signing_key_from_jwt(token)
    options: Any = {"require": ["exp", "iat", "sub", "client_id", "jti"]}
    expected: Any = {"algorithms": ["ES256"], "issuer": server.url, "options": options}
    assert pyjwt.decode(token, key, audience=API, **expected)["aud"] == API
    with pytest.raises(pyjwt.InvalidAudienceError):
        pyjwt.decode(token, key, audience=OPAQUE, **expected)


def test_authlib_accepts_the_token(server: IssuerServer, client: Caller) -> None:
    class Validator(JWTBearerTokenValidator):  # type: ignore[misc, no-any-unimported]
        def get_jwks(self) -> KeySet:
            return KeySet.import_key_set(published(server))

    validator = Validator(issuer=server.url, resource_server=API)
    token = validator.authenticate_token(client.login(resource=API, scope="a")["access_token"])
    validator.validate_token(token, ["a"], None)
    assert token["client_id"] == client.id


def test_a_resource_chooses_the_format(client: Caller) -> None:
    both = client.login(resource=OPAQUE)
    assert both["access_token"].startswith("gwa_")
    refreshed = client.refresh(client.login(resource=API)["refresh_token"]).json()
    assert claims_of(refreshed["access_token"])["aud"] == API


def test_introspection_and_revocation_know_the_token(client: Caller, clock: Clock) -> None:
    first, second = client.login(), client.login()
    found = client.as_rfc("/introspect", token=first["access_token"]).json()
    claims = claims_of(first["access_token"])
    assert found["active"] is True
    assert {name: found[name] for name in ("sub", "client_id", "iat", "exp", "scope")} == {
        name: claims[name] for name in ("sub", "client_id", "iat", "exp", "scope")
    }
    assert client.as_rfc("/revoke", token=first["access_token"]).status_code == 200
    assert not client.active(first["access_token"])
    assert client.active(first["refresh_token"])
    assert client.active(second["access_token"])
    assert client.as_rfc("/revoke", token=second["refresh_token"]).status_code == 200
    assert not client.active(second["access_token"])
    third = client.login()["access_token"]
    clock.tick(3600)
    assert not client.active(third)


def test_a_long_token_can_be_revoked(client: Caller) -> None:
    asked = {"subject_token": client.login()["access_token"], "subject_token_type": ACCESS_TOKEN}
    audience = [f"{number}{'x' * 2000}" for number in range(20)]
    made = client.as_rfc(
        "/token", grant_type=token_exchange.GRANT_TYPE, **asked, audience=[*audience, API]
    ).json()
    assert claims_of(made["access_token"])["aud"] == [*audience, API]
    assert client.active(made["access_token"])
    assert client.as_rfc("/revoke", token=made["access_token"]).status_code == 200
    assert not client.active(made["access_token"])


def test_another_client_cannot_revoke_the_token(server: IssuerServer, client: Caller) -> None:
    token = client.login()["access_token"]
    with Caller(server.url) as other:
        other.register_rfc()
        refused = other.as_rfc("/revoke", token=token)
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    assert client.active(token)


def test_a_modified_token_is_unknown(client: Caller) -> None:
    token = client.login()["access_token"]
    header, payload, signature = token.split(".")
    for forged in (
        f"{header}.{payload}.{signature[:-4]}AAAA",
        f"{header}.{payload}x.{signature}",
        f"{header}.{payload}.",
        f"..{signature}",
        f"{token}.{signature}",
        "é." * 2,
        "a." * 20_000,
    ):
        assert not client.active(forged)


def test_a_token_of_another_type_is_no_access_token(server: IssuerServer, client: Caller) -> None:
    own = client.login()["access_token"]
    asked = {"subject_token": own, "subject_token_type": ACCESS_TOKEN}
    exchange = token_exchange.GRANT_TYPE
    signed = client.as_rfc(
        "/token", grant_type=exchange, **asked, requested_token_type=JWT, audience=server.url
    )
    assert signed.status_code == 200, signed.text
    assert not client.active(signed.json()["access_token"])
    # As the audience of a JWT, a client could take it for an ID token.
    refused = client.as_rfc(
        "/token", grant_type=exchange, **asked, requested_token_type=JWT, audience=client.id
    )
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_target")


def test_a_token_for_another_client_is_opaque(server: IssuerServer, client: Caller) -> None:
    asked = {"subject_token": client.login()["access_token"], "subject_token_type": ACCESS_TOKEN}
    with Caller(server.url) as other:
        other.register_rfc(grant_types=GRANTS)
        for audience in (other.id, [API, other.id]):
            made = client.as_rfc(
                "/token", grant_type=token_exchange.GRANT_TYPE, **asked, audience=audience
            ).json()
            assert made["access_token"].startswith("gwa_")
            assert other.active(made["access_token"])


def test_a_jwt_can_be_exchanged(client: Caller) -> None:
    own = client.login(scope="a b")["access_token"]
    asked = {"subject_token": own, "subject_token_type": ACCESS_TOKEN}
    made = client.as_rfc("/token", grant_type=token_exchange.GRANT_TYPE, **asked, scope="a").json()
    assert client.as_rfc("/introspect", token=made["access_token"]).json()["sub"] == "local-user"
    client.as_rfc("/revoke", token=own)
    again = client.as_rfc("/token", grant_type=token_exchange.GRANT_TYPE, **asked)
    assert again.status_code == 400


@pytest.mark.parametrize(
    "settings",
    [
        {"access_token_format": "saml"},
        {"access_token_format": "jwt", "keys": KeySettings(enabled=False)},
        {
            "resources": (Resource(API, access_token_format="jwt"),),
            "keys": KeySettings(enabled=False),
        },
    ],
)
def test_checks_the_setting(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as wrong:
        IssuerSettings(**settings)
    assert list(wrong.value.errors) == ["access_token_format"]
