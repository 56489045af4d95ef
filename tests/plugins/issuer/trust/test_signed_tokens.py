"""JWTs of the embedded issuer, and another grantway issuer that trusts it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

import grantway
from grantway._exceptions import ConfigurationError
from grantway_plugins.grants import client_credentials, jwt_bearer, token_exchange
from grantway_plugins.grants.token_exchange import ACCESS_TOKEN, JWT
from grantway_plugins.issuer import IssuerServer, IssuerSettings, KeySettings, TrustedIssuer
from tests.plugins.issuer.conftest import Caller, Clock

OTHER = "https://other.example"
GRANTS = [client_credentials.GRANT_TYPE, token_exchange.GRANT_TYPE, jwt_bearer.GRANT_TYPE]


def written(file: Path) -> str:
    file.touch(mode=0o600)
    file.write_bytes(ECKey.generate_key("P-256").as_pem(private=True))
    return str(file)


@pytest.fixture
def key(tmp_path: Path) -> str:
    return written(tmp_path / "key.pem")


@pytest.fixture
def server(clock: Clock, key: str) -> Iterator[IssuerServer]:
    settings = IssuerSettings(registration="unrestricted", signing_keys=(key,))
    with IssuerServer(settings, clock=clock) as running:
        yield running


@pytest.fixture
def caller(caller: Caller) -> Caller:
    return caller.register_rfc(grant_types=GRANTS[:2], redirect_uris=[])


def exchange(caller: Caller, **params: Any) -> requests.Response:
    own = caller.as_rfc("/token", grant_type=GRANTS[0]).json()["access_token"]
    asked = {
        "subject_token": own,
        "subject_token_type": ACCESS_TOKEN,
        "requested_token_type": JWT,
        "audience": OTHER,
        **params,
    }
    kept = {name: value for name, value in asked.items() if value is not None}
    return caller.as_rfc("/token", grant_type=token_exchange.GRANT_TYPE, **kept)


def test_exchanges_an_access_token_for_a_jwt(
    server: IssuerServer, caller: Caller, clock: Clock
) -> None:
    metadata = requests.get(f"{server.url}/.well-known/oauth-authorization-server", timeout=10)
    jwks = requests.get(metadata.json()["jwks_uri"], timeout=10).json()
    made = exchange(caller, scope="a").json()
    assert (made["token_type"], made["issued_token_type"]) == ("N_A", JWT)
    assert (made["expires_in"], made["scope"]) == (3600, "a")
    token = jwt.decode(made["access_token"], KeySet.import_key_set(jwks), algorithms=["ES256"])
    assert token.claims.pop("jti")
    assert token.claims == {
        "iss": server.url,
        "sub": caller.id,
        "aud": OTHER,
        "client_id": caller.id,
        "scope": "a",
        "iat": int(clock()),
        "exp": int(clock()) + 3600,
    }
    assert all(set(each) <= {"kty", "crv", "x", "y", "kid", "alg", "use"} for each in jwks["keys"])
    assert not caller.active(made["access_token"])  # it is for the audience, not for this issuer


def test_a_jwt_does_not_outlive_the_exchanged_token(caller: Caller, clock: Clock) -> None:
    own = caller.as_rfc("/token", grant_type=GRANTS[0]).json()["access_token"]
    clock.tick(3000)
    assert exchange(caller, subject_token=own).json()["expires_in"] == 600


def test_a_jwt_has_an_audience(caller: Caller) -> None:
    both = exchange(caller, audience=[OTHER, "b"]).json()["access_token"]
    payload = both.split(".")[1]
    assert json.loads(jwt_part(payload))["aud"] == [OTHER, "b"]
    missing = exchange(caller, audience=None)
    assert (missing.status_code, missing.json()["error"]) == (400, "invalid_request")


def jwt_part(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def test_without_signing_keys_there_are_no_jwts() -> None:
    disabled = IssuerSettings(registration="unrestricted", keys=KeySettings(enabled=False))
    with (
        IssuerServer(disabled) as server,
        Caller(server.url) as caller,
    ):
        caller.register_rfc(grant_types=GRANTS[:2], redirect_uris=[])
        refused = exchange(caller)
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")
        assert requests.get(f"{server.url}/jwks", timeout=10).status_code == 404
        metadata = requests.get(f"{server.url}/.well-known/openid-configuration", timeout=10)
        assert "jwks_uri" not in metadata.json()


def test_another_grantway_issuer_accepts_the_jwt(server: IssuerServer, caller: Caller) -> None:
    trusted = TrustedIssuer(server.url, subjects=(caller.id,))
    settings = IssuerSettings(registration="unrestricted", trusted_issuers=(trusted,))
    with (
        IssuerServer(settings, clock=server.store.clock) as other,
        Caller(other.url) as there,
        grantway.Client(
            grantway.Provider.discover(server.url),
            client_id=caller.id,
            client_secret=caller.secret,
        ) as client,
    ):
        there.register_rfc(grant_types=GRANTS, redirect_uris=[])
        own = client.create_token(grant_type="client_credentials")
        signed = client.create_token(
            grant_type=token_exchange.GRANT_TYPE,
            subject_token=own.access_token,
            subject_token_type=ACCESS_TOKEN,
            requested_token_type=JWT,
            audience=other.url,
        )
        accepted = there.as_rfc(
            "/token", grant_type=jwt_bearer.GRANT_TYPE, assertion=signed.access_token
        )
        assert accepted.status_code == 200, accepted.text
        known = there.as_rfc("/introspect", token=accepted.json()["access_token"]).json()
        assert known["sub"] == caller.id
        elsewhere = exchange(caller).json()["access_token"]
        assert (
            there.as_rfc("/token", grant_type=jwt_bearer.GRANT_TYPE, assertion=elsewhere)
        ).status_code == 400


def test_the_first_key_signs_and_all_are_published(tmp_path: Path, key: str, clock: Clock) -> None:
    settings = IssuerSettings(
        registration="unrestricted", signing_keys=(written(tmp_path / "new.pem"), key)
    )
    with IssuerServer(settings, clock=clock) as server, Caller(server.url) as caller:
        caller.register_rfc(grant_types=GRANTS[:2], redirect_uris=[])
        jwks = requests.get(f"{server.url}/jwks", timeout=10).json()
        header = json.loads(jwt_part(exchange(caller).json()["access_token"].split(".")[0]))
    assert [each["kid"] for each in jwks["keys"]].index(header["kid"]) == 0
    assert len(jwks["keys"]) == 2


@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN PUBLIC KEY-----\n", b"\xff"])
def test_an_invalid_key_is_an_error_that_names_the_file(
    tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "key.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=f"^signing_keys: {file}: ") as wrong:
        IssuerServer(IssuerSettings(signing_keys=(str(file),)))
    assert list(wrong.value.errors) == ["signing_keys"]


def test_rejects_a_key_that_every_user_can_read(key: str) -> None:
    Path(key).chmod(0o640)  # a group is allowed, as in Kubernetes
    IssuerServer(IssuerSettings(signing_keys=(key,))).stop()
    Path(key).chmod(0o644)
    with pytest.raises(ConfigurationError, match="every user of this machine can read it") as wrong:
        IssuerServer(IssuerSettings(signing_keys=(key,)))
    assert list(wrong.value.errors) == ["signing_keys"]


@pytest.mark.parametrize("paths", ["key.pem", [""], ("",), (7,)])
def test_checks_the_setting(paths: Any) -> None:
    with pytest.raises(ConfigurationError) as wrong:
        IssuerSettings(signing_keys=paths)
    assert list(wrong.value.errors) == ["signing_keys"]
