"""Tests of third-party OAuth clients against ``grantway serve``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from requests_oauth2client import AuthorizationResponseError

from grantway_plugins.issuer._browser_driver import BrowserDriver
from tests.interop.grantway_serve import grantway_serve
from tests.interop.rfc_clients import (
    DEVICE_CODE,
    Authlib,
    Registration,
    Rejection,
    RequestsOAuth2Client,
    RfcClient,
    Token,
)

REDIRECT = "http://127.0.0.1:54321/callback"
METHODS = ["client_secret_basic", "client_secret_post", "none"]
ALL_GRANTS = ["authorization_code", "refresh_token", DEVICE_CODE]

Connect = Callable[..., RfcClient]


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    """An issuer without a poll interval."""
    with grantway_serve("--device-interval-seconds", "0", "--registration", "unrestricted") as url:
        yield url


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as made:
        made.trust_env = False
        yield made


@pytest.fixture
def driver() -> Iterator[BrowserDriver]:
    with BrowserDriver() as driver:
        yield driver


def register(issuer: str, session: requests.Session, **metadata: Any) -> Registration:
    asked = {
        "client_name": "interop",
        "redirect_uris": [REDIRECT],
        "grant_types": ALL_GRANTS,
        "scope": "read write",
        "token_endpoint_auth_method": "client_secret_basic",
    }
    response = session.post(f"{issuer}/register", json={**asked, **metadata}, timeout=30)
    assert response.status_code == 201, response.text
    registered = response.json()
    return Registration(
        client_id=registered["client_id"],
        client_secret=registered.get("client_secret"),
        method=registered["token_endpoint_auth_method"],
        redirect_uri=REDIRECT,
    )


@pytest.fixture(params=["requests-oauth2client", "authlib"])
def as_client(
    request: pytest.FixtureRequest, session: requests.Session, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str, Registration], RfcClient]]:
    """Return a function that creates a client from a registration."""
    made: list[Authlib] = []
    # Authlib requires https even on loopback by default.
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")

    def make(issuer: str, registered: Registration) -> RfcClient:
        if request.param == "authlib":
            made.append(Authlib(issuer, registered, session))
            return made[-1]
        return RequestsOAuth2Client(issuer, registered, session)

    yield make
    for client in made:
        client.close()


@pytest.fixture
def connect(
    issuer: str,
    session: requests.Session,
    as_client: Callable[[str, Registration], RfcClient],
) -> Connect:
    """Return a function that registers and creates a client."""
    return lambda **metadata: as_client(issuer, register(issuer, session, **metadata))


def rejection(
    client: RfcClient, call: Callable[..., Token], *args: str, **kwargs: str
) -> Rejection:
    try:
        response = call(*args, **kwargs)
    except Exception as error:  # noqa: BLE001 - `parse_error` re-raises other errors
        return client.parse_error(error)
    raise AssertionError(f"expected an error, got a response with {sorted(response)}")


def assert_rejected(rejected: Rejection, error: str, exception: str) -> None:
    """Check the error code, and the class if the client has one for the code."""
    assert rejected.error == error
    assert rejected.exception in {exception, "OAuthError"}


def test_discovery_names_every_endpoint_and_method(connect: Connect, issuer: str) -> None:
    document = connect().discover()
    for step in ("authorization", "token", "device_authorization", "revocation", "introspection"):
        assert document[f"{step}_endpoint"].startswith(f"{issuer}/")
    assert set(document["token_endpoint_auth_methods_supported"]) >= set(METHODS)
    assert set(document["grant_types_supported"]) >= set(ALL_GRANTS)


def test_the_metadata_conform_to_rfc_8414(issuer: str, session: requests.Session) -> None:
    document = session.get(f"{issuer}/.well-known/oauth-authorization-server", timeout=30)
    # The RFC requires https; all of its other rules must hold on loopback too.
    secured = document.text.replace("http://", "https://")
    AuthorizationServerMetadata(json.loads(secured)).validate()


@pytest.mark.parametrize("method", METHODS)
def test_logs_in_on_a_device(connect: Connect, driver: BrowserDriver, method: str) -> None:
    client = connect(token_endpoint_auth_method=method)
    started = client.start_device("read")
    assert started["expires_in"]
    assert_rejected(
        rejection(client, client.poll, started["device_code"]),
        "authorization_pending",
        "AuthorizationPending",
    )
    driver.approve_device(started["verification_uri"], started["user_code"])
    token = client.poll(started["device_code"])
    assert token["token_type"] == "Bearer"
    assert token["scope"] == "read"
    assert client.refresh(token["refresh_token"])["access_token"] != token["access_token"]


@pytest.mark.parametrize("method", METHODS)
def test_logs_in_with_a_code_and_pkce(connect: Connect, driver: BrowserDriver, method: str) -> None:
    client = connect(token_endpoint_auth_method=method)
    token = client.login("read write", driver.approve_authorization)
    assert set(token["scope"].split()) == {"read", "write"}
    refreshed = client.refresh(token["refresh_token"])
    assert refreshed["refresh_token"] != token["refresh_token"]


def test_a_refresh_may_narrow_but_not_widen_the_scope(
    connect: Connect, driver: BrowserDriver
) -> None:
    client = connect()
    token = client.login("read", driver.approve_authorization)
    assert client.refresh(token["refresh_token"], scope="read")["scope"] == "read"
    again = client.login("read write", driver.approve_authorization)
    narrowed = client.refresh(again["refresh_token"], scope="read")
    assert narrowed["scope"] == "read"
    assert_rejected(
        rejection(client, client.refresh, narrowed["refresh_token"], scope="read admin"),
        "invalid_scope",
        "InvalidScope",
    )


def test_revocation_invalidates_the_login(connect: Connect, driver: BrowserDriver) -> None:
    client = connect()
    token = client.login("read", driver.approve_authorization)
    client.revoke(token["refresh_token"])
    assert_rejected(
        rejection(client, client.refresh, token["refresh_token"]), "invalid_grant", "InvalidGrant"
    )


def test_a_denied_device_login_returns_access_denied(
    connect: Connect, driver: BrowserDriver
) -> None:
    client = connect()
    started = client.start_device("read")
    driver.deny_device(started["verification_uri"], started["user_code"])
    assert_rejected(
        rejection(client, client.poll, started["device_code"]), "access_denied", "AccessDenied"
    )


def test_a_denied_code_login_returns_access_denied(
    issuer: str, session: requests.Session, driver: BrowserDriver
) -> None:
    # Authlib does not parse errors in redirects.
    client = RequestsOAuth2Client(issuer, register(issuer, session), session)
    with pytest.raises(AuthorizationResponseError) as rejected:
        client.login("read", driver.deny_authorization)
    assert rejected.value.error == "access_denied"


def test_polling_too_fast_returns_slow_down(
    session: requests.Session, as_client: Callable[[str, Registration], RfcClient]
) -> None:
    with grantway_serve() as issuer:
        client = as_client(issuer, register(issuer, session))
        started = client.start_device("read")
        assert started["interval"] == 5
        assert_rejected(
            rejection(client, client.poll, started["device_code"]),
            "authorization_pending",
            "AuthorizationPending",
        )
        assert_rejected(
            rejection(client, client.poll, started["device_code"]), "slow_down", "SlowDown"
        )


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_rejects_a_wrong_secret(
    issuer: str,
    session: requests.Session,
    as_client: Callable[[str, Registration], RfcClient],
    method: str,
) -> None:
    known = register(issuer, session, token_endpoint_auth_method=method)
    liar = Registration(known.client_id, "not the secret", method, REDIRECT)
    client = as_client(issuer, liar)
    assert_rejected(rejection(client, client.refresh, "any"), "invalid_client", "InvalidClient")


@pytest.mark.parametrize(
    ("grant_type", "parameters", "error", "exception"),
    [
        ("refresh_token", {}, "invalid_request", "InvalidRequest"),
        ("refresh_token", {"refresh_token": "unknown"}, "invalid_grant", "InvalidGrant"),
        (
            "authorization_code",
            {"code": "unknown", "redirect_uri": REDIRECT},
            "invalid_grant",
            "InvalidGrant",
        ),
        (DEVICE_CODE, {"device_code": "unknown"}, "invalid_grant", "InvalidGrant"),
        ("urn:example:grant", {}, "unsupported_grant_type", "UnknownTokenEndpointError"),
    ],
)
def test_rejects_an_invalid_token_request(
    connect: Connect, grant_type: str, parameters: dict[str, str], error: str, exception: str
) -> None:
    client = connect()
    assert_rejected(rejection(client, client.ask, grant_type, **parameters), error, exception)


def test_rejects_a_grant_that_the_client_did_not_register(connect: Connect) -> None:
    client = connect(grant_types=[DEVICE_CODE])
    assert_rejected(
        rejection(client, client.refresh, "any"), "unauthorized_client", "UnauthorizedClient"
    )
