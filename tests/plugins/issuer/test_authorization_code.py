"""Authorization codes and PKCE."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from grantway_plugins.issuer._browser_driver import BrowserDriver
from tests.plugins.issuer.conftest import CALLBACK, CHALLENGE, VERIFIER, Caller, Clock, query_of


def refused(response: requests.Response, error: str = "invalid_grant") -> None:
    assert (response.status_code, response.json()["error"]) == (400, error)


def test_redeems_a_code_for_tokens(rfc: Caller) -> None:
    tokens = rfc.login()
    assert rfc.active(tokens["access_token"])
    assert tokens["scope"] == "a b"


def test_a_code_expires_after_ten_minutes(rfc: Caller, clock: Clock) -> None:
    code = rfc.sent_back()["code"]
    clock.tick(600)
    refused(rfc.redeem(code))


def test_a_code_is_valid_for_just_under_ten_minutes(rfc: Caller, clock: Clock) -> None:
    code = rfc.sent_back()["code"]
    clock.tick(599)
    assert rfc.redeem(code).status_code == 200


def test_a_replayed_code_revokes_the_issued_tokens(rfc: Caller, clock: Clock) -> None:
    code = rfc.sent_back()["code"]
    tokens = rfc.redeem(code).json()
    clock.tick(3000)  # it is still known long after its expiry
    refused(rfc.redeem(code))
    assert not rfc.active(tokens["access_token"])
    refused(rfc.refresh(tokens["refresh_token"]))


def test_one_of_several_parallel_redemptions_succeeds(rfc: Caller) -> None:
    code = rfc.sent_back()["code"]

    def redeem(_number: int) -> requests.Response:
        with rfc.clone() as other:
            return other.redeem(code)

    with ThreadPoolExecutor(16) as pool:
        responses = list(pool.map(redeem, range(32)))
    assert sorted(response.status_code for response in responses) == [200] + [400] * 31


def test_a_code_is_bound_to_its_client(rfc: Caller, caller: Caller) -> None:
    code = rfc.sent_back()["code"]
    refused(caller.register_rfc().redeem(code))
    assert rfc.redeem(code).status_code == 200


@pytest.mark.parametrize("uri", ["http://127.0.0.1:8401/oauth/callback", CALLBACK + "/", None])
def test_a_code_is_bound_to_its_redirect_uri(rfc: Caller, uri: Any) -> None:
    code = rfc.sent_back()["code"]
    refused(rfc.redeem(code, redirect_uri=uri))
    assert rfc.redeem(code).status_code == 200


def test_redirect_uri_is_optional_if_the_authorization_request_had_none(rfc: Caller) -> None:
    code = rfc.sent_back(redirect_uri="")["code"]
    assert rfc.redeem(code, redirect_uri=None).status_code == 200


@pytest.mark.parametrize("verifier", ["w" * 43, None])
def test_a_wrong_or_missing_verifier_fails_and_does_not_consume_the_code(
    rfc: Caller, verifier: str | None
) -> None:
    code = rfc.sent_back()["code"]
    refused(rfc.redeem(code, code_verifier=verifier))
    assert rfc.redeem(code).status_code == 200


@pytest.mark.parametrize("verifier", ["v" * 42, "v" * 129, "v" * 42 + "!", "v" * 42 + "\u00e9"])
def test_a_verifier_is_43_to_128_unreserved_characters(rfc: Caller, verifier: str | None) -> None:
    code = rfc.sent_back()["code"]
    response = rfc.redeem(code, code_verifier=verifier)
    refused(response, "invalid_request")
    assert "code_verifier" in response.json()["error_description"]


def test_a_verifier_without_challenge_fails_and_a_confidential_client_may_omit_both(
    rfc: Caller,
) -> None:
    code = rfc.sent_back(code_challenge="", code_challenge_method="")["code"]
    refused(rfc.redeem(code, code_verifier=VERIFIER))
    assert rfc.redeem(code, code_verifier=None).status_code == 200


@pytest.mark.parametrize(
    "params",
    [
        {"code_challenge_method": ""},
        {"code_challenge_method": "plain"},
        {"code_challenge_method": "s256"},
        {"code_challenge": CHALLENGE + "A"},
        {"code_challenge": CHALLENGE[:-1]},
        {"code_challenge": ""},
    ],
)
def test_accepts_only_a_valid_s256_challenge(rfc: Caller, params: dict[str, str]) -> None:
    """A missing method does not mean plain."""
    response = rfc.http.get(rfc.authorize_url(**params), allow_redirects=False)
    assert response.status_code == 303
    assert query_of(response.headers["location"])["error"] == "invalid_request"


def test_public_and_aws_clients_must_use_pkce(aws: Caller, rfc: Caller, caller: Caller) -> None:
    public = caller.clone()
    public.register_rfc(token_endpoint_auth_method="none")
    for client in (aws, public):
        url = client.authorize_url(code_challenge="", code_challenge_method="")
        response = client.http.get(url, allow_redirects=False)
        assert query_of(response.headers["location"])["error"] == "invalid_request"
    public.http.close()


def test_a_public_client_redeems_without_a_secret(caller: Caller) -> None:
    public = caller.register_rfc(token_endpoint_auth_method="none")
    assert public.login()["access_token"]


def test_aws_clients_use_the_parameter_scopes_and_any_port(
    caller: Caller, driver: BrowserDriver
) -> None:
    caller.register_aws(redirectUris=["http://127.0.0.1/oauth/callback"])
    sent = query_of(driver.approve_authorization(caller.authorize_url(scopes="b")))
    response = caller.as_aws(
        "/token",
        grantType="authorization_code",
        code=sent["code"],
        redirectUri=CALLBACK,
        codeVerifier=VERIFIER,
    )
    assert response.status_code == 200
    assert caller.as_rfc("/introspect", token=response.json()["accessToken"]).json()["scope"] == "b"
