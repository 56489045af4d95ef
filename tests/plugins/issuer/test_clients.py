"""Registration and client authentication."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from tests.plugins.issuer.conftest import Caller, Clock


def said(response: requests.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]


INVALID_CLIENT = (401, "invalid_client")


def test_registers_an_aws_client(caller: Caller) -> None:
    response = caller.aws("/client/register", clientName="x", clientType="public")
    made = response.json()
    assert set(made) == {
        "clientId",
        "clientSecret",
        "clientIdIssuedAt",
        "clientSecretExpiresAt",
        "authorizationEndpoint",
        "tokenEndpoint",
    }
    assert made["clientSecretExpiresAt"] - made["clientIdIssuedAt"] == 90 * 86400
    assert made["tokenEndpoint"] == f"{caller.url}/token"
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("members", "error", "name"),
    [
        ({"clientName": None}, "invalid_request", "InvalidRequestException"),
        ({"clientName": ["x"]}, "invalid_request", "InvalidRequestException"),
        ({"clientName": "\ud800"}, "invalid_request", "InvalidRequestException"),
        ({"clientType": None}, "invalid_request", "InvalidRequestException"),
        ({"clientType": "secret"}, "invalid_client_metadata", "InvalidClientMetadataException"),
        ({"grantTypes": ["password"]}, "unsupported_grant_type", "UnsupportedGrantTypeException"),
        ({"scopes": ['a"b']}, "invalid_scope", "InvalidScopeException"),
        ({"redirectUris": ["javascript:x"]}, "invalid_redirect_uri", "InvalidRedirectUriException"),
        (
            {"grantTypes": ["authorization_code"]},
            "invalid_redirect_uri",
            "InvalidRedirectUriException",
        ),
    ],
)
def test_aws_registration_names_an_invalid_parameter(
    caller: Caller, members: dict[str, Any], error: str, name: str
) -> None:
    response = caller.aws(
        "/client/register", **{"clientName": "x", "clientType": "public", **members}
    )
    assert said(response) == (400, error)
    assert response.headers["x-amzn-errortype"] == name


@pytest.mark.parametrize(
    "uri",
    [
        "http://example.com/cb",
        "https://example.com/cb#fragment",
        "https://user@example.com/",
        "https://example.com:99999/",
        "https://example.com/a b",
        "app:/cb",
        "/cb",
        "",
        7,
        "http://127.0.0.1.example.com/cb",
        "https://example.com/\r\nX: y",
    ],
)
def test_rejects_unsafe_redirect_uris(caller: Caller, uri: Any) -> None:
    response = caller.http.post(f"{caller.url}/register", json={"redirect_uris": [uri]})
    assert said(response) == (400, "invalid_redirect_uri")


@pytest.mark.parametrize(
    "uri",
    [
        "https://example.com/cb?x=1",
        "http://127.0.0.1/cb",
        "http://[::1]/cb",
        "http://localhost:80/",
        "com.example.app:/cb",
    ],
)
def test_accepts_safe_redirect_uris(caller: Caller, uri: Any) -> None:
    assert caller.register_rfc(redirect_uris=[uri]).id


def test_rfc_registration_returns_the_registered_metadata(caller: Caller) -> None:
    made = caller.http.post(
        f"{caller.url}/register",
        json={"redirect_uris": ["https://example.com/cb"], "client_name": "x", "logo_uri": "y"},
    )
    assert made.status_code == 201
    assert made.json()["token_endpoint_auth_method"] == "client_secret_basic"
    assert made.json()["grant_types"] == ["authorization_code"]
    assert made.json()["response_types"] == ["code"]
    assert made.json()["client_secret_expires_at"] > made.json()["client_id_issued_at"]


@pytest.mark.parametrize(
    "metadata",
    [
        {"token_endpoint_auth_method": "private_key_jwt"},
        {"grant_types": ["implicit"]},
        {"response_types": ["token"]},
        {"client_name": 7},
    ],
)
def test_rfc_registration_rejects_invalid_metadata(
    caller: Caller, metadata: dict[str, Any]
) -> None:
    asked = {"redirect_uris": ["https://example.com/cb"], **metadata}
    response = caller.http.post(f"{caller.url}/register", json=asked)
    assert said(response) == (400, "invalid_client_metadata")


def test_a_wrong_secret_gets_401_and_a_challenge_only_for_basic(rfc: Caller, aws: Caller) -> None:
    rfc.secret += "x"
    response = rfc.refresh("t")
    assert said(response) == INVALID_CLIENT
    assert response.headers["www-authenticate"].startswith("Basic ")
    aws.secret += "x"
    for response in (
        aws.refresh("t"),
        aws.as_aws("/token", grantType="refresh_token", refreshToken="t"),
    ):
        assert said(response) == INVALID_CLIENT
        assert "www-authenticate" not in response.headers


@pytest.mark.parametrize("used", ["client_secret_post", "none"])
def test_accepts_only_the_registered_authentication_method(rfc: Caller, used: str) -> None:
    rfc.method = used
    assert said(rfc.refresh("t")) == INVALID_CLIENT


def test_rejects_two_authentication_methods_in_one_request(rfc: Caller) -> None:
    response = rfc.refresh("t", client_secret=rfc.secret)
    assert said(response) == (400, "invalid_request")
    assert said(rfc.refresh("t", client_id="other")) == (400, "invalid_request")
    assert said(rfc.refresh("t", client_id=rfc.id)) == (400, "invalid_grant")


@pytest.mark.parametrize("header", ["Basic", "Basic !!!", "Basic YQ==", "Basic /w=="])
def test_rejects_a_malformed_basic_header(rfc: Caller, header: str) -> None:
    response = rfc.http.post(
        f"{rfc.url}/token",
        data={"grant_type": "refresh_token", "refresh_token": "t"},
        headers={"authorization": header},
    )
    assert said(response) == INVALID_CLIENT


def test_an_expired_registration_is_invalid_client(rfc: Caller, aws: Caller, clock: Clock) -> None:
    clock.tick(90 * 86400)
    assert said(rfc.refresh("t")) == INVALID_CLIENT
    assert said(aws.as_aws("/device_authorization", startUrl="https://x")) == INVALID_CLIENT


def test_an_unknown_client_is_invalid_client(aws: Caller) -> None:
    aws.id = "unknown"
    assert said(aws.refresh("t")) == INVALID_CLIENT


def test_a_public_client_may_identify_itself_by_basic_with_an_empty_secret(
    caller: Caller,
) -> None:
    caller.register_rfc(token_endpoint_auth_method="none")
    started = caller.http.post(f"{caller.url}/device_authorization", auth=(caller.id, ""))
    assert started.status_code == 200, started.text
    refresh_token = caller.login()["refresh_token"]
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
    for also in ({}, {"client_id": caller.id}):
        response = caller.http.post(f"{caller.url}/token", data=form | also, auth=(caller.id, ""))
        assert response.status_code == 200, response.text
    form = {"token": refresh_token}
    response = caller.http.post(f"{caller.url}/revoke", data=form, auth=(caller.id, ""))
    assert response.status_code == 200, response.text
    assert said(caller.refresh(refresh_token)) == (400, "invalid_grant")


def test_an_empty_secret_does_not_authenticate_a_client_with_a_secret(
    rfc: Caller, aws: Caller
) -> None:
    for client in (rfc, aws):
        response = client.http.post(
            f"{client.url}/token",
            data={"grant_type": "refresh_token", "refresh_token": "t"},
            auth=(client.id, ""),
        )
        assert said(response) == INVALID_CLIENT
        assert "www-authenticate" in response.headers


def test_rejects_a_request_without_a_client_id(caller: Caller) -> None:
    response = caller.rfc("/token", grant_type="refresh_token", refresh_token="t")
    assert said(response) == INVALID_CLIENT
    response = caller.aws("/token", grantType="refresh_token", refreshToken="t")
    assert said(response) == (400, "invalid_request")
    assert "clientId" in response.json()["message"]


def test_rejects_an_unknown_grant_and_one_that_the_client_did_not_register(caller: Caller) -> None:
    caller.register_aws(grantTypes=["refresh_token"])
    response = caller.as_aws("/token", grantType="password", username="x")
    assert said(response) == (400, "unsupported_grant_type")
    assert response.headers["x-amzn-errortype"] == "UnsupportedGrantTypeException"
    response = caller.as_aws("/token", grantType="authorization_code", code="x")
    assert said(response) == (400, "unauthorized_client")
    assert response.headers["x-amzn-errortype"] == "UnauthorizedClientException"


def test_introspection_requires_a_secret_and_revocation_revokes_tokens(
    caller: Caller, rfc: Caller
) -> None:
    tokens = rfc.login()
    caller.register_rfc(token_endpoint_auth_method="none")
    assert said(caller.as_rfc("/introspect", token=tokens["access_token"])) == INVALID_CLIENT
    assert said(caller.as_rfc("/revoke", token=tokens["access_token"])) == (400, "invalid_grant")
    facts = rfc.as_rfc("/introspect", token=tokens["access_token"]).json()
    assert facts["client_id"] == rfc.id
    assert (facts["sub"], facts["iss"]) == ("local-user", rfc.url)
    assert rfc.as_rfc("/revoke", token=tokens["access_token"]).status_code == 200
    assert not rfc.active(tokens["access_token"])
    assert rfc.active(tokens["refresh_token"])
    other = rfc.refresh(tokens["refresh_token"]).json()
    assert rfc.as_rfc("/revoke", token=other["refresh_token"]).status_code == 200
    assert not rfc.active(other["access_token"])
    assert not rfc.active(other["refresh_token"])
    assert rfc.as_rfc("/revoke", token="unknown").status_code == 200


def test_an_access_token_expires(rfc: Caller, clock: Clock) -> None:
    token = rfc.login()["access_token"]
    clock.tick(3599)
    assert rfc.active(token)
    clock.tick(1)
    assert not rfc.active(token)


IAM_QUERIES = [
    "aws_iam=t",
    "a=b&aws_iam=t",
    "aws_iam=true",
    "aws_iam=1",
    "aws_iam=",
    "aws_iam",
    "AWS_IAM=T",
    "aws%5Fiam=t",
]


def test_rejects_create_token_with_iam_in_a_form(rfc: Caller) -> None:
    signed = {"authorization": "AWS4-HMAC-SHA256 Credential=AKIA/20300101/x/sso-oauth/aws4_request"}
    for path, headers in [("/token?aws_iam=true", {}), ("/token", signed)]:
        form = {"grant_type": "refresh_token", "refresh_token": "x"}
        response = rfc.http.post(rfc.url + path, data=form, headers=headers)
        assert said(response) == (400, "invalid_request")
        assert "CreateTokenWithIAM is not supported" in response.json()["error_description"]


def test_rejects_create_token_with_iam_in_json(aws: Caller) -> None:
    members = {"clientId": aws.id, "clientSecret": aws.secret, "grantType": "refresh_token"}
    signed = {"authorization": "AWS4-HMAC-SHA256 Credential=AKIA/20300101/x/sso-oauth/aws4_request"}
    for path, headers in [
        *((f"/token?{query}", {}) for query in IAM_QUERIES),
        ("/token", signed),
    ]:
        response = aws.http.post(aws.url + path, json=members, headers=headers)
        assert said(response) == (400, "invalid_request")
        assert response.headers["x-amzn-errortype"] == "InvalidRequestException"
        assert "CreateTokenWithIAM is not supported" in response.json()["message"]
