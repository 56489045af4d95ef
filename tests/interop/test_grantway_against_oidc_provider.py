"""Tests of grantway's client against npm's oidc-provider."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

import grantway
from grantway_grants import authorization_code, device_code
from tests.interop.oidc_provider import OidcProvider
from tests.waiting import PATIENCE

SCOPE = ["openid", "offline_access", "read"]
REDIRECT = "http://127.0.0.1/callback"
ClientMaker = Callable[[str], grantway.Client]


@pytest.fixture(scope="module")
def provider(oidc_provider: OidcProvider) -> grantway.Provider:
    return grantway.Provider.discover(oidc_provider.issuer)


@pytest.fixture
def client_of(oidc_provider: OidcProvider, provider: grantway.Provider) -> Iterator[ClientMaker]:
    made: list[grantway.Client] = []

    def make(name: str) -> grantway.Client:
        registered = oidc_provider.clients[name]
        client = grantway.Client(
            provider,
            client_id=registered.client_id,
            client_secret=registered.client_secret,
            auth=registered.token_endpoint_auth_method,
        )
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()


def follow(oidc_provider: OidcProvider) -> Callable[[str], None]:
    """Return a browser function that signs in, consents, and follows the redirect."""

    def browse(url: str) -> None:
        back = oidc_provider.authorize(url)
        assert requests.get(back, timeout=PATIENCE).ok

    return browse


def test_discovery_finds_every_endpoint(
    oidc_provider: OidcProvider, provider: grantway.Provider
) -> None:
    assert provider.issuer == oidc_provider.issuer
    for step in ("token", "authorization", "device_authorization", "revocation"):
        assert provider.endpoint(step).startswith(oidc_provider.issuer)
    assert "S256" in provider.metadata["code_challenge_methods_supported"]


def test_rejects_metadata_of_another_issuer(oidc_provider: OidcProvider) -> None:
    # The same server under another name, which does not match its document.
    port = urlsplit(oidc_provider.issuer).port
    with pytest.raises(grantway.ResponseInvalidError, match="names the issuer"):
        grantway.Provider.discover(f"http://localhost:{port}")


@pytest.mark.parametrize("name", ["basic", "awkward", "post", "public"])
def test_logs_in_with_a_browser_and_refreshes(
    oidc_provider: OidcProvider, client_of: ClientMaker, name: str
) -> None:
    client = client_of(name)
    token = authorization_code.login(
        client,
        scope=SCOPE,
        extra={"prompt": "consent"},
        redirect_uri=REDIRECT,
        open_browser=follow(oidc_provider),
        timeout=60,
    )
    assert token.token_type.lower() == "bearer"
    assert token.id_token
    assert set(token.scope or ()) == set(SCOPE)
    assert token.refresh_token

    refreshed = client.create_token(grant_type="refresh_token", refresh_token=token.refresh_token)
    assert refreshed.access_token != token.access_token
    assert refreshed.refresh_token not in (None, token.refresh_token)

    with pytest.raises(grantway.InvalidGrantException):
        client.create_token(grant_type="refresh_token", refresh_token=token.refresh_token)


def test_accepts_a_pasted_redirect(oidc_provider: OidcProvider, client_of: ClientMaker) -> None:
    token = authorization_code.login_by_paste(
        client_of("public"),
        oidc_provider.authorize,
        redirect_uri="http://127.0.0.1:65535/callback",
        scope=SCOPE,
        extra={"prompt": "consent"},
    )
    assert token.access_token


def test_a_denied_login_raises_access_denied(
    oidc_provider: OidcProvider, client_of: ClientMaker
) -> None:
    with pytest.raises(grantway.AccessDeniedException):
        authorization_code.login_by_paste(
            client_of("public"), oidc_provider.deny, redirect_uri=REDIRECT, scope=SCOPE
        )


def test_rejects_a_code_with_another_verifier(
    oidc_provider: OidcProvider, client_of: ClientMaker
) -> None:
    client = client_of("basic")
    request = authorization_code.AuthorizationCodeFlow(client, scope=SCOPE).begin(REDIRECT)
    back = oidc_provider.authorize(request.url)
    with pytest.raises(grantway.InvalidGrantException):
        client.create_token(
            grant_type="authorization_code",
            code=parse_qs(urlsplit(back).query)["code"][0],
            redirect_uri=REDIRECT,
            code_verifier="x" * 43,
        )


@pytest.mark.parametrize("name", ["basic", "post", "public"])
def test_logs_in_on_a_device(
    oidc_provider: OidcProvider, client_of: ClientMaker, name: str
) -> None:
    flow = device_code.DeviceFlow(client_of(name), scope=SCOPE, pause=lambda _seconds: None)
    authorization = flow.start()
    assert authorization.verification_uri_complete is not None
    polls: list[str] = []

    def on_poll(outcome: str) -> None:
        polls.append(outcome)
        if len(polls) == 1:
            oidc_provider.approve_device(authorization.verification_uri_complete or "")

    token = flow.wait(authorization, on_poll=on_poll)
    assert polls[0] == "authorization_pending"
    assert token.access_token
    assert token.refresh_token


def test_a_denied_device_login_raises_access_denied(
    oidc_provider: OidcProvider, client_of: ClientMaker
) -> None:
    flow = device_code.DeviceFlow(client_of("public"), scope=SCOPE, pause=lambda _seconds: None)
    authorization = flow.start()
    oidc_provider.deny_device(authorization.verification_uri_complete or "")
    with pytest.raises(grantway.AccessDeniedException):
        flow.wait(authorization)


def test_an_expired_device_code_raises_expired_token() -> None:
    with OidcProvider(ttl={"DeviceCode": 1}) as provider:
        registered = provider.clients["public"]
        with grantway.Client(
            grantway.Provider.discover(provider.issuer), client_id=registered.client_id
        ) as client:
            pace = threading.Event()
            flow = device_code.DeviceFlow(client, scope=SCOPE, pause=lambda _: pace.wait(0.1))
            # The client keeps polling, so that the provider's clock decides.
            authorization = replace(flow.start(), expires_in=600)
            with pytest.raises(grantway.ExpiredTokenException):
                flow.wait(authorization)


def test_a_wrong_secret_raises_invalid_client(
    oidc_provider: OidcProvider, provider: grantway.Provider
) -> None:
    client_id = oidc_provider.clients["basic"].client_id
    with (
        grantway.Client(provider, client_id=client_id, client_secret="not the secret") as client,
        pytest.raises(grantway.InvalidClientException) as rejected,
    ):
        client.create_token(grant_type="refresh_token", refresh_token="any")
    assert rejected.value.evidence.status == 401
    assert "not the secret" not in str(rejected.value)
