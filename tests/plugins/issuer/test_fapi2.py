"""The FAPI 2.0 Security Profile."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from joserfc.jwk import ECKey, OKPKey, RSAKey

import grantway
from grantway._exceptions import ConfigurationError, InvalidClientException, TokenError
from grantway._requests.client_auth import ClientAuth
from grantway_grants.authorization_code import login_by_paste
from grantway_plugins.client_auth import DPoP, PrivateKeyJwt, SigningKey
from grantway_plugins.issuer import BrowserDriver, IssuerServer, IssuerSettings, Lifetimes
from tests.plugins.issuer.conftest import CALLBACK, Caller, query_of

KEY = ECKey.generate_key("P-256")
SIGNED: dict[str, Any] = {
    "token_endpoint_auth_method": "private_key_jwt",
    "jwks": {"keys": [KEY.as_dict(private=False)]},
    "redirect_uris": [CALLBACK],
    "grant_types": ["authorization_code", "refresh_token", "client_credentials"],
    "scope": "a b",
}


@pytest.fixture(scope="module")
def server() -> Iterator[IssuerServer]:
    """An issuer that enforces the profile; its clock is the real one."""
    settings = IssuerSettings(registration="unrestricted", fapi2=True)
    with IssuerServer(settings) as running:
        yield running


def register(server: IssuerServer, **changes: Any) -> requests.Response:
    return requests.post(f"{server.url}/register", json={**SIGNED, **changes}, timeout=30)


@pytest.fixture(scope="module")
def client_id(server: IssuerServer) -> str:
    """The id of a client with ``private_key_jwt``."""
    registered: str = register(server).json()["client_id"]
    return registered


def client(server: IssuerServer, auth: ClientAuth) -> grantway.Client:
    provider = grantway.Provider.discover(server.url)
    return grantway.Client(provider, client_id=auth.client_id, auth=auth)


def test_a_client_that_follows_the_profile_logs_in(server: IssuerServer, client_id: str) -> None:
    dpop = DPoP(PrivateKeyJwt(client_id, KEY), ECKey.generate_key("P-256"))
    # The metadata requires pushed requests, so the client pushes without being told.
    with client(server, dpop) as bound, BrowserDriver() as driver:
        token = login_by_paste(
            bound, driver.approve_authorization, redirect_uri=CALLBACK, scope="a"
        )
        assert token.token_type == "DPoP"
        for _ in range(2):  # the refresh token is not rotated
            again = bound.create_token(
                grant_type="refresh_token", refresh_token=token.refresh_token
            )
            assert (again.token_type, again.refresh_token) == ("DPoP", token.refresh_token)


def test_bearer_tokens_are_not_issued(server: IssuerServer, client_id: str) -> None:
    with (
        client(server, PrivateKeyJwt(client_id, KEY)) as unbound,
        pytest.raises(TokenError, match="binds all access tokens"),
    ):
        unbound.create_token(grant_type="client_credentials")


@pytest.mark.parametrize("method", ["none", "client_secret_basic", "client_secret_post"])
def test_other_client_authentication_is_not_offered(server: IssuerServer, method: str) -> None:
    response = register(server, token_endpoint_auth_method=method)
    assert response.json()["error"] == "invalid_client_metadata"


def test_clients_of_the_operator_need_the_method_too(server: IssuerServer) -> None:
    with Caller(server.url) as caller:
        caller.register_aws()
        response = caller.as_rfc("/token", grant_type="client_credentials")
        assert (response.status_code, response.json()["error"]) == (401, "invalid_client")
        assert "private_key_jwt" in response.json()["error_description"]


@pytest.mark.parametrize("audience", ["/token", "/par"])
def test_the_audience_of_an_assertion_must_be_the_issuer(
    server: IssuerServer, client_id: str, audience: str
) -> None:
    auth = PrivateKeyJwt(client_id, KEY, audience=server.url + audience)
    with client(server, auth) as wrong, pytest.raises(InvalidClientException):
        wrong.create_token(grant_type="client_credentials")


@pytest.mark.parametrize(
    ("key", "alg"), [(RSAKey.generate_key(2048), "RS256"), (ECKey.generate_key("P-384"), "ES384")]
)
def test_algorithms_outside_the_profile_are_rejected(
    server: IssuerServer, client_id: str, key: Any, alg: str
) -> None:
    dpop = DPoP(PrivateKeyJwt(client_id, KEY), SigningKey(key, alg=alg))
    with client(server, dpop) as bound, pytest.raises(TokenError) as caught:
        bound.create_token(grant_type="client_credentials")
    assert caught.value.code == "invalid_dpop_proof"
    registered = register(server, jwks={"keys": [key.as_dict(private=False)]}).json()
    auth = PrivateKeyJwt(registered["client_id"], SigningKey(key, alg=alg))
    with client(server, auth) as signed, pytest.raises(InvalidClientException):
        signed.create_token(grant_type="client_credentials")


@pytest.mark.parametrize(
    ("key", "alg"),
    [(RSAKey.generate_key(2048), "PS256"), (OKPKey.generate_key("Ed25519"), "EdDSA")],
)
def test_algorithms_of_the_profile_are_accepted(server: IssuerServer, key: Any, alg: str) -> None:
    registered = register(server, jwks={"keys": [key.as_dict(private=False)]}).json()
    auth = PrivateKeyJwt(registered["client_id"], SigningKey(key, alg=alg))
    with client(server, DPoP(auth, SigningKey(key, alg=alg))) as bound:
        token = bound.create_token(grant_type="client_credentials")
    assert token.token_type == "DPoP"


def test_parameters_in_the_query_are_rejected(server: IssuerServer, client_id: str) -> None:
    with Caller(server.url) as caller:
        caller.id = client_id
        response = caller.http.get(caller.authorize_url(), allow_redirects=False)
    assert "must push" in query_of(response.headers["Location"])["error_description"]


@pytest.mark.parametrize("missing", ["redirect_uri", "code_challenge"])
def test_a_pushed_request_needs_redirect_uri_and_pkce(
    server: IssuerServer, client_id: str, missing: str
) -> None:
    pushed = {
        "response_type": "code",
        "redirect_uri": CALLBACK,
        "code_challenge": "A" * 43,
        "code_challenge_method": "S256",
    }
    del pushed[missing]
    if missing == "code_challenge":
        del pushed["code_challenge_method"]
    with (
        client(server, PrivateKeyJwt(client_id, KEY)) as signed,
        pytest.raises(TokenError, match=f"{missing} is required"),
    ):
        signed.call("pushed_authorization_request", extra=pushed)


def test_metadata_describes_the_profile(server: IssuerServer) -> None:
    url = f"{server.url}/.well-known/oauth-authorization-server"
    metadata = requests.get(url, timeout=30).json()
    assert metadata["require_pushed_authorization_requests"] is True
    assert metadata["token_endpoint_auth_methods_supported"] == ["private_key_jwt"]
    assert metadata["dpop_signing_alg_values_supported"] == [
        "ES256",
        "PS256",
        "EdDSA",
        "Ed25519",
    ]


def test_the_setting_implies_others() -> None:
    lifetimes = Lifetimes(authorization_code=600, pushed_request=600, access_token=120)
    settings = IssuerSettings(fapi2=True, lifetimes=lifetimes)
    assert settings.require_bound_tokens
    assert settings.require_pushed_authorization_requests
    assert settings.lifetimes == Lifetimes(
        authorization_code=60, pushed_request=599, access_token=120
    )
    assert not IssuerSettings(lifetimes=lifetimes).require_bound_tokens


def test_the_libraries_for_signatures_are_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grantway_plugins.issuer._security.verifies_proofs", lambda: False)
    for name in ("fapi2", "dpop_require_nonce"):
        with pytest.raises(ConfigurationError, match="extra jose") as caught:
            IssuerSettings(**{name: True})
        assert list(caught.value.errors) == [name]
