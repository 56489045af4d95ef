"""OpenID Connect: ID tokens, the UserInfo endpoint and discovery."""

from __future__ import annotations

import base64
import hashlib
import json
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt as pyjwt
import pytest
import requests
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import SecurityWarning
from joserfc.jwk import KeySet, OKPKey

from grantway_plugins.grants import client_credentials
from grantway_plugins.issuer import (
    IssuerServer,
    IssuerSettings,
    KeySettings,
    LoginDetails,
    Resource,
    digest,
)
from grantway_plugins.issuer._decisions.openid import MAX_NONCE
from grantway_plugins.issuer._decisions.randomness import new_secret
from grantway_plugins.issuer._storage.records import AuthorizationCodeRecord, Redirect
from grantway_plugins.issuer._storage.users import UserRecord
from tests.plugins.issuer.conftest import CALLBACK, CHALLENGE, DEVICE, Caller, Clock

NONCE = "n-0S6_WzA2Mj"
API = "https://api.example.com/"
ALGORITHMS = ("ES256", "ES384", "EdDSA", "RS256", "PS256")
#: The hash functions of ``at_hash``.
HASHES = {"ES384": hashlib.sha384, "EdDSA": hashlib.sha512, "Ed25519": hashlib.sha512}
CLAIMS = {
    "name": "Jane Doe",
    "email": "jane@example.com",
    "email_verified": True,
    "phone_number": "+1 555",
    "secret": "internal",
    "nickname": None,
}


@pytest.fixture(scope="module")
def clock() -> Clock:
    """Starts at the current time, with which the libraries compare the claims."""
    clock = Clock()
    clock.now = time.time()
    return clock


@pytest.fixture(scope="module")
def server(clock: Clock) -> Iterator[IssuerServer]:
    settings = IssuerSettings(
        registration="unrestricted",
        keys=KeySettings(algorithms=ALGORITHMS),
        resources=(Resource(API, scopes=("a",), access_token_format="jwt"),),
    )
    with IssuerServer(settings, clock=clock) as running:
        yield running


@pytest.fixture
def client(caller: Caller) -> Caller:
    return caller.register_rfc(scope="openid profile email a", id_token_signed_response_alg="ES256")


def verified(server: IssuerServer, token: str, alg: str = "ES256") -> dict[str, Any]:
    keys = KeySet.import_key_set(requests.get(f"{server.url}/jwks", timeout=10).json())
    with warnings.catch_warnings():  # joserfc prefers the name Ed25519, which few servers support
        warnings.simplefilter("ignore", SecurityWarning)
        read = jwt.decode(token, keys, algorithms=[alg])
    assert read.header["typ"] == "JWT"
    return dict(read.claims)


def at_hash(token: str, alg: str = "ES256") -> str:
    found = HASHES.get(alg, hashlib.sha256)(token.encode()).digest()
    return base64.urlsafe_b64encode(found[: len(found) // 2]).decode().rstrip("=")


def redeemed(server: IssuerServer, client: Caller, **details: Any) -> dict[str, Any]:
    """Redeem a code of a login with these details."""
    code = new_secret("gwc")
    record = AuthorizationCodeRecord(
        digest=digest(code),
        client_id=client.id,
        redirect=Redirect(CALLBACK, given=True),
        scope=("openid", "profile"),
        subject="jane",
        challenge=CHALLENGE,
        expires_at=server.store.clock() + 60,
        details=LoginDetails(**details),
    )
    server.store.run(lambda tx: tx.add_authorization_code(record))
    found: dict[str, Any] = client.redeem(code).json()
    return found


def userinfo(server: IssuerServer, token: str | None, method: str = "GET") -> requests.Response:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return requests.request(method, f"{server.url}/userinfo", headers=headers, timeout=10)


def test_a_login_returns_an_id_token(server: IssuerServer, client: Caller, clock: Clock) -> None:
    page = client.http.get(client.authorize_url(scope="openid a", nonce=NONCE)).text
    assert "Know who you are" in page
    made = client.login(scope="openid a", nonce=NONCE)
    assert verified(server, made["id_token"]) == {
        "iss": server.url,
        "sub": "local-user",
        "aud": client.id,
        "iat": int(clock()),
        "exp": int(clock()) + 3600,
        "nonce": NONCE,
        "at_hash": at_hash(made["access_token"]),
    }


def test_the_details_of_the_login_are_claims_and_survive_a_refresh(
    server: IssuerServer, client: Caller, clock: Clock
) -> None:
    logged_in = clock() - 100.5
    made = redeemed(server, client, auth_time=logged_in, session_id="session", nonce=NONCE)
    first = verified(server, made["id_token"])
    assert (first["auth_time"], first["sid"], first["nonce"]) == (int(logged_in), "session", NONCE)
    clock.tick(10)
    refreshed = client.refresh(made["refresh_token"]).json()
    second = verified(server, refreshed["id_token"])
    assert second.pop("at_hash") == at_hash(refreshed["access_token"])
    assert second == {
        **{name: first[name] for name in ("iss", "sub", "aud", "auth_time", "sid")},
        "iat": first["iat"] + 10,
        "exp": first["exp"] + 10,
    }


@pytest.mark.parametrize(("max_age", "known"), [("60", True), ("0", True), ("-1", False)])
def test_auth_time_of_the_local_user_is_the_approval_if_requested(
    server: IssuerServer, client: Caller, clock: Clock, max_age: str, known: bool
) -> None:
    made = client.login(scope="openid", max_age=max_age)
    expected = int(clock()) if known else None
    assert verified(server, made["id_token"]).get("auth_time") == expected


def test_a_device_gets_an_id_token(server: IssuerServer, client: Caller, driver: Any) -> None:
    started = client.start(scope="openid")
    driver.approve_device(started["verification_uri"], started["user_code"])
    made = client.poll(started["device_code"]).json()
    assert verified(server, made["id_token"])["aud"] == client.id
    assert "id_token" in client.refresh(made["refresh_token"]).json()


def test_only_logins_with_the_scope_have_id_tokens(server: IssuerServer, caller: Caller) -> None:
    credentials = client_credentials.GRANT_TYPE
    caller.register_rfc(
        scope="openid a", grant_types=["authorization_code", "refresh_token", credentials]
    )
    assert "id_token" not in caller.login(scope="a")
    login = caller.login(scope="openid a")
    narrowed = caller.refresh(login["refresh_token"], scope="a").json()
    assert "id_token" not in narrowed
    assert "id_token" not in caller.as_rfc("/token", grant_type=credentials).json()


def test_a_resource_without_the_scope_does_not_suppress_the_id_token(
    server: IssuerServer, client: Caller
) -> None:
    made = client.login(scope="openid a", resource=API)
    assert made["scope"] == "a"
    assert verified(server, made["id_token"])["at_hash"] == at_hash(made["access_token"])


def test_the_dialect_of_aws_has_no_id_token(caller: Caller, driver: Any) -> None:
    caller.register_aws(scopes=["openid", "a"], grantTypes=[DEVICE, "refresh_token"])
    started = caller.as_aws("/device_authorization", startUrl="https://example.com").json()
    driver.approve_device(started["verificationUri"], started["userCode"])
    made = caller.as_aws("/token", grantType=DEVICE, deviceCode=started["deviceCode"]).json()
    assert set(made) == {"accessToken", "tokenType", "expiresIn", "refreshToken"}


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_client_chooses_the_algorithm(server: IssuerServer, caller: Caller, alg: str) -> None:
    caller.register_rfc(scope="openid", id_token_signed_response_alg=alg)
    made = caller.login(nonce=NONCE)
    assert verified(server, made["id_token"], alg)["at_hash"] == at_hash(made["access_token"], alg)
    key = pyjwt.PyJWKClient(f"{server.url}/jwks").get_signing_key_from_jwt(made["id_token"])
    claims = pyjwt.decode(
        made["id_token"], key, algorithms=[alg], audience=caller.id, issuer=server.url, leeway=60
    )
    assert claims["nonce"] == NONCE


def test_signs_with_the_current_name_of_ed25519(clock: Clock, tmp_path: Path) -> None:
    """RFC 9864."""
    file = tmp_path / "key.json"
    key = OKPKey.generate_key("Ed25519").as_dict(private=True)
    file.write_text(json.dumps({**key, "alg": "Ed25519"}))
    file.chmod(0o600)
    settings = IssuerSettings(registration="unrestricted", signing_keys=(str(file),))
    with IssuerServer(settings, clock=clock) as server, Caller(server.url) as caller:
        made = caller.register_rfc(scope="openid").login()
        claims = verified(server, made["id_token"], "Ed25519")
        assert claims["at_hash"] == at_hash(made["access_token"], "Ed25519")


@pytest.mark.parametrize("alg", ["none", "HS256", "ES512", 7])
def test_rejects_an_algorithm_without_a_key(caller: Caller, alg: Any) -> None:
    metadata = {"redirect_uris": [CALLBACK], "id_token_signed_response_alg": alg}
    refused = caller.http.post(f"{caller.url}/register", json={**metadata, "scope": "openid"})
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_client_metadata")
    assert "id_token_signed_response_alg" in refused.json()["error_description"]


def test_the_registration_states_the_default_algorithm(caller: Caller) -> None:
    def registered(scope: str) -> Any:
        metadata = {"redirect_uris": [CALLBACK], "scope": scope}
        return caller.http.post(f"{caller.url}/register", json=metadata).json()

    assert registered("openid")["id_token_signed_response_alg"] == "RS256"
    assert "id_token_signed_response_alg" not in registered("a")


def test_an_algorithm_without_a_key_is_replaced(clock: Clock, tmp_path: Path) -> None:
    """The operator may remove an algorithm after a client registered it."""
    database = tmp_path / "issuer.sqlite3"

    def running(*algorithms: str) -> IssuerServer:
        settings = IssuerSettings(
            registration="unrestricted", keys=KeySettings(algorithms=algorithms)
        )
        return IssuerServer(settings, database=database, clock=clock)

    with running("EdDSA", "RS256") as server, Caller(server.url) as first:
        first.register_rfc(scope="openid", id_token_signed_response_alg="EdDSA")
    with running("ES256") as server, Caller(server.url) as caller:
        caller.id, caller.secret, caller.method = first.id, first.secret, first.method
        assert verified(server, caller.login()["id_token"])["sub"] == "local-user"


def test_authlib_accepts_the_id_token(server: IssuerServer, client: Caller) -> None:
    made = client.login(scope="openid", nonce=NONCE)
    claims = CodeIDToken(
        verified(server, made["id_token"]),
        {"alg": "ES256"},
        {"iss": {"essential": True, "value": server.url}},
        {"client_id": client.id, "nonce": NONCE, "access_token": made["access_token"]},
    )
    claims.validate(leeway=60)


@pytest.mark.parametrize("pairs", [{"nonce": "n" * (MAX_NONCE + 1)}, {"nonce": ["a", "b"]}])
def test_rejects_an_invalid_nonce(client: Caller, pairs: dict[str, Any]) -> None:
    url = requests.Request("GET", client.authorize_url(), params=pairs).prepare().url or ""
    page = client.http.get(url, allow_redirects=False)
    assert "error=invalid_request" in page.headers["location"]


# --- UserInfo ---


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_userinfo_returns_the_subject(server: IssuerServer, client: Caller, method: str) -> None:
    found = userinfo(server, client.login(scope="openid")["access_token"], method)
    assert (found.status_code, found.json()) == (200, {"sub": "local-user"})
    assert found.headers["cache-control"] == "no-store"


def test_userinfo_returns_the_claims_of_the_scopes(server: IssuerServer, client: Caller) -> None:
    server.store.run(lambda tx: tx.users.save(UserRecord("jane", CLAIMS, 0.0)))
    made = redeemed(server, client)
    assert userinfo(server, made["access_token"]).json() == {"sub": "jane", "name": "Jane Doe"}
    less = client.refresh(made["refresh_token"], scope="openid").json()
    assert userinfo(server, less["access_token"]).json() == {"sub": "jane"}


def test_userinfo_rejects_other_tokens(server: IssuerServer, client: Caller) -> None:
    login = client.login(scope="openid a")
    for token in (None, "unknown", login["id_token"], login["refresh_token"]):
        refused = userinfo(server, token)
        assert (refused.status_code, refused.json()["error"]) == (401, "invalid_token")
        assert refused.headers["www-authenticate"].startswith("Bearer ")
    narrow = userinfo(server, client.login(scope="a")["access_token"])
    assert (narrow.status_code, narrow.json()["error"]) == (403, "insufficient_scope")
    assert 'error="insufficient_scope"' in narrow.headers["www-authenticate"]
    for_api = userinfo(server, client.login(scope="openid a", resource=API)["access_token"])
    assert for_api.status_code == 401
    client.as_rfc("/revoke", token=login["refresh_token"])
    assert userinfo(server, login["access_token"]).status_code == 401
    in_query = requests.get(f"{server.url}/userinfo?access_token=x", timeout=10)
    assert in_query.status_code == 400


def test_userinfo_accepts_jwts(clock: Clock) -> None:
    settings = IssuerSettings(registration="unrestricted", access_token_format="jwt")
    with IssuerServer(settings, clock=clock) as server, Caller(server.url) as caller:
        caller.register_rfc(scope="openid")
        made = caller.login()
        assert userinfo(server, made["access_token"]).json() == {"sub": "local-user"}
        assert userinfo(server, made["id_token"]).status_code == 401
        caller.as_rfc("/revoke", token=made["access_token"])
        assert userinfo(server, made["access_token"]).status_code == 401


# --- discovery ---


def test_the_metadata_list_what_exists(server: IssuerServer) -> None:
    openid, oauth = (
        requests.get(f"{server.url}/.well-known/{name}", timeout=10).json()
        for name in ("openid-configuration", "oauth-authorization-server")
    )
    assert openid["userinfo_endpoint"] == f"{server.url}/userinfo"
    assert openid["jwks_uri"] == f"{server.url}/jwks"
    assert openid["subject_types_supported"] == ["public"]
    assert openid["id_token_signing_alg_values_supported"] == list(ALGORITHMS)
    assert openid["scopes_supported"] == ["openid", "sso:account:access"]
    assert {"sub", "nonce", "auth_time", "sid"} <= set(openid["claims_supported"])
    assert openid["claims_parameter_supported"] is False
    # OAuth clients that request every listed scope must not get others than before.
    assert set(openid) - set(oauth) == {"scopes_supported", "claims_supported"}
    assert openid.items() >= oauth.items()


def test_without_keys_there_is_no_openid(clock: Clock) -> None:
    settings = IssuerSettings(registration="unrestricted", keys=KeySettings(enabled=False))
    with IssuerServer(settings, clock=clock) as server, Caller(server.url) as caller:
        caller.register_rfc(scope="openid", id_token_signed_response_alg="ES256")
        made = caller.login(nonce=NONCE)
        assert "id_token" not in made
        assert userinfo(server, made["access_token"]).status_code == 404
        found = requests.get(f"{server.url}/.well-known/openid-configuration", timeout=10).json()
        assert not {"userinfo_endpoint", "jwks_uri", "subject_types_supported"} & set(found)
