"""Registration and client authentication."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from tests.plugins.issuer.conftest import Caller, Clock


def said(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]


INVALID_CLIENT = (401, "invalid_client")


def test_aws_registration(caller: Caller) -> None:
    answer = caller.aws("/client/register", clientName="x", clientType="public")
    made = answer.json()
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
    assert answer.headers["cache-control"] == "no-store"


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
def test_aws_registration_refuses_by_name(
    caller: Caller, members: dict[str, Any], error: str, name: str
) -> None:
    answer = caller.aws(
        "/client/register", **{"clientName": "x", "clientType": "public", **members}
    )
    assert said(answer) == (400, error)
    assert answer.headers["x-amzn-errortype"] == name


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
def test_a_redirect_uri_that_cannot_be_trusted_is_not_registered(caller: Caller, uri: Any) -> None:
    answer = caller.http.post(f"{caller.url}/register", json={"redirect_uris": [uri]})
    assert said(answer) == (400, "invalid_redirect_uri")


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
def test_redirect_uris_that_can_be_registered(caller: Caller, uri: Any) -> None:
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
def test_rfc_registration_refuses_metadata(caller: Caller, metadata: dict[str, Any]) -> None:
    asked = {"redirect_uris": ["https://example.com/cb"], **metadata}
    answer = caller.http.post(f"{caller.url}/register", json=asked)
    assert said(answer) == (400, "invalid_client_metadata")


def test_a_wrong_secret_is_401_with_a_challenge_only_where_basic_was_tried(
    rfc: Caller, aws: Caller
) -> None:
    rfc.secret += "x"
    answer = rfc.refresh("t")
    assert said(answer) == INVALID_CLIENT
    assert answer.headers["www-authenticate"].startswith("Basic ")
    aws.secret += "x"
    for answer in (
        aws.refresh("t"),
        aws.as_aws("/token", grantType="refresh_token", refreshToken="t"),
    ):
        assert said(answer) == INVALID_CLIENT
        assert "www-authenticate" not in answer.headers


@pytest.mark.parametrize("used", ["client_secret_post", "none"])
def test_only_the_registered_method_is_taken(rfc: Caller, used: str) -> None:
    rfc.method = used
    assert said(rfc.refresh("t")) == INVALID_CLIENT


def test_two_methods_in_one_request_are_refused(rfc: Caller) -> None:
    answer = rfc.refresh("t", client_secret=rfc.secret)
    assert said(answer) == (400, "invalid_request")
    assert said(rfc.refresh("t", client_id="other")) == (400, "invalid_request")
    assert said(rfc.refresh("t", client_id=rfc.id)) == (400, "invalid_grant")


@pytest.mark.parametrize("header", ["Basic", "Basic !!!", "Basic YQ==", "Basic /w=="])
def test_a_basic_header_that_cannot_be_read(rfc: Caller, header: str) -> None:
    answer = rfc.http.post(
        f"{rfc.url}/token",
        data={"grant_type": "refresh_token", "refresh_token": "t"},
        headers={"authorization": header},
    )
    assert said(answer) == INVALID_CLIENT


def test_an_expired_registration_is_invalid_client(rfc: Caller, aws: Caller, clock: Clock) -> None:
    clock.tick(90 * 86400)
    assert said(rfc.refresh("t")) == INVALID_CLIENT
    assert said(aws.as_aws("/device_authorization", startUrl="https://x")) == INVALID_CLIENT


def test_an_unknown_client_is_invalid_client(aws: Caller) -> None:
    aws.id = "nobody"
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
        answer = caller.http.post(f"{caller.url}/token", data=form | also, auth=(caller.id, ""))
        assert answer.status_code == 200, answer.text
    form = {"token": refresh_token}
    answer = caller.http.post(f"{caller.url}/revoke", data=form, auth=(caller.id, ""))
    assert answer.status_code == 200, answer.text
    assert said(caller.refresh(refresh_token)) == (400, "invalid_grant")


def test_an_empty_secret_opens_no_client_that_has_one(rfc: Caller, aws: Caller) -> None:
    for client in (rfc, aws):
        answer = client.http.post(
            f"{client.url}/token",
            data={"grant_type": "refresh_token", "refresh_token": "t"},
            auth=(client.id, ""),
        )
        assert said(answer) == INVALID_CLIENT
        assert "www-authenticate" in answer.headers


def test_rejects_a_request_without_a_client_id(caller: Caller) -> None:
    answer = caller.rfc("/token", grant_type="refresh_token", refresh_token="t")
    assert said(answer) == INVALID_CLIENT
    answer = caller.aws("/token", grantType="refresh_token", refreshToken="t")
    assert said(answer) == (400, "invalid_request")
    assert "clientId" in answer.json()["message"]


def test_an_unknown_grant_and_one_that_the_client_may_not_use(caller: Caller) -> None:
    caller.register_aws(grantTypes=["refresh_token"])
    answer = caller.as_aws("/token", grantType="password", username="x")
    assert said(answer) == (400, "unsupported_grant_type")
    assert answer.headers["x-amzn-errortype"] == "UnsupportedGrantTypeException"
    answer = caller.as_aws("/token", grantType="authorization_code", code="x")
    assert said(answer) == (400, "unauthorized_client")
    assert answer.headers["x-amzn-errortype"] == "UnauthorizedClientException"


def test_introspection_needs_a_secret_and_revocation_ends_tokens(
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


def test_an_access_token_ends_with_its_lifetime(rfc: Caller, clock: Clock) -> None:
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


def test_a_form_that_asks_for_create_token_with_iam_is_refused_by_name(rfc: Caller) -> None:
    signed = {"authorization": "AWS4-HMAC-SHA256 Credential=AKIA/20300101/x/sso-oauth/aws4_request"}
    for path, headers in [("/token?aws_iam=true", {}), ("/token", signed)]:
        form = {"grant_type": "refresh_token", "refresh_token": "x"}
        answer = rfc.http.post(rfc.url + path, data=form, headers=headers)
        assert said(answer) == (400, "invalid_request")
        assert "CreateTokenWithIAM is not supported" in answer.json()["error_description"]


def test_create_token_with_iam_is_refused_by_name(aws: Caller) -> None:
    members = {"clientId": aws.id, "clientSecret": aws.secret, "grantType": "refresh_token"}
    signed = {"authorization": "AWS4-HMAC-SHA256 Credential=AKIA/20300101/x/sso-oauth/aws4_request"}
    for path, headers in [
        *((f"/token?{query}", {}) for query in IAM_QUERIES),
        ("/token", signed),
    ]:
        answer = aws.http.post(aws.url + path, json=members, headers=headers)
        assert said(answer) == (400, "invalid_request")
        assert answer.headers["x-amzn-errortype"] == "InvalidRequestException"
        assert "CreateTokenWithIAM is not supported" in answer.json()["message"]
