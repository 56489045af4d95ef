"""CreateTokenWithIAM: requests and signatures equal those of boto3."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.credentials import Credentials

import grantway
from grantway._exceptions import ConfigurationError
from grantway._transport.http import HttpRequest, HttpResponse
from grantway_plugins.aws import AwsIam
from grantway_plugins.grants import token_exchange
from tests.aws_sessions import botocore_session
from tests.plugins.client_auth.scripted import Scripted, answer

ARN = "arn:aws:sso::123456789012:application/ssoins-1/apl-1"
REGION = "eu-west-1"
URL = "https://oidc.eu-west-1.amazonaws.com"
KEYS = Credentials("AKIDEXAMPLE", "an-aws-secret-key", "an-aws-session-token")
PARAMS: dict[str, Any] = {
    "grant_type": token_exchange.GRANT_TYPE,
    "subject_token": "the-subject-token",
    "subject_token_type": token_exchange.ACCESS_TOKEN,
    "requested_token_type": token_exchange.REFRESH_TOKEN,
    "scope": ["openid", "aws"],
}
ANSWER = {
    "accessToken": "at-1",
    "tokenType": "Bearer",
    "expiresIn": 3600,
    "issuedTokenType": token_exchange.ACCESS_TOKEN,
    "scope": ["openid", "aws"],
    "awsAdditionalDetails": {"identityContext": "context"},
}


def client(*script: HttpResponse, auth: AwsIam | None = None) -> tuple[grantway.Client, Scripted]:
    transport = Scripted(list(script))
    made = grantway.Client(
        grantway.Provider(f"{URL}/token", dialect="aws-sso-oidc"),
        client_id=ARN,
        auth=auth or AwsIam(ARN, REGION, lambda: KEYS),
        transport=transport,
    )
    return made, transport


def by_boto3() -> tuple[HttpRequest, dict[str, Any]]:
    """Return the request that botocore sends for the same call, and its result."""
    session = botocore_session()
    aws = session.create_client(
        "sso-oidc",
        region_name=REGION,
        aws_access_key_id=KEYS.access_key,
        aws_secret_access_key=KEYS.secret_key,
        aws_session_token=KEYS.token,
    )
    sent: list[HttpRequest] = []

    class Raw:
        @staticmethod
        def stream() -> Any:
            yield json.dumps(ANSWER).encode()

    def send(request: Any, **_options: Any) -> AWSResponse:
        headers = {
            name: value.decode() if isinstance(value, bytes) else value
            for name, value in request.headers.items()
        }
        sent.append(HttpRequest("POST", request.url, headers, request.body))
        return AWSResponse(request.url, 200, {"content-type": "application/json"}, Raw())

    aws.meta.events.register("before-send.sso-oidc.CreateTokenWithIAM", send)
    result = aws.create_token_with_iam(
        clientId=ARN,
        grantType=PARAMS["grant_type"],
        subjectToken=PARAMS["subject_token"],
        subjectTokenType=PARAMS["subject_token_type"],
        requestedTokenType=PARAMS["requested_token_type"],
        scope=PARAMS["scope"],
    )
    return sent[0], result


def is_signed(request: HttpRequest) -> bool:
    """Return whether botocore computes the same signature for the signed headers."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    claimed = headers["authorization"]
    covered = claimed.partition("SignedHeaders=")[2].partition(",")[0].split(";")
    assert {"host", "x-amz-date", "x-amz-security-token", "content-type"} <= set(covered)
    assert f"/{REGION}/sso-oauth/aws4_request" in claimed
    kept = {name: headers[name] for name in covered if name != "host"}
    again = AWSRequest("POST", request.url, headers=kept, data=request.body)
    again.context["timestamp"] = headers["x-amz-date"]
    signer = SigV4Auth(KEYS, "sso-oauth", REGION)
    canonical = signer.canonical_request(again)
    return claimed.endswith(signer.signature(signer.string_to_sign(again, canonical), again))


def test_sends_and_signs_the_same_request_as_boto3() -> None:
    theirs, result = by_boto3()
    calling, transport = client(answer(200, ANSWER))
    token = calling.create_token(**PARAMS)
    (ours,) = transport.requests
    assert (urlsplit(ours.url).path, urlsplit(ours.url).query) == ("/token", "aws_iam=t")
    assert ours.url == theirs.url
    assert json.loads(ours.body) == json.loads(theirs.body)
    assert is_signed(theirs)
    assert is_signed(ours)
    assert token.access_token == result["accessToken"]
    assert token.scope == tuple(result["scope"])
    assert token.extra == {
        "issued_token_type": result["issuedTokenType"],
        "aws_additional_details": result["awsAdditionalDetails"],
    }


def test_the_signature_check_detects_changes() -> None:
    calling, transport = client(answer(200, ANSWER))
    calling.create_token(**PARAMS)
    (sent,) = transport.requests
    assert not is_signed(HttpRequest("POST", sent.url, sent.headers, sent.body + b" "))


def test_shows_no_credentials() -> None:
    def repeat(request: HttpRequest) -> HttpResponse:
        message = f"{request.headers['Authorization']} {request.headers['X-Amz-Security-Token']}"
        return answer(400, {"error": "invalid_grant", "error_description": message})

    calling, transport = client()
    transport.script.append(repeat)
    with pytest.raises(grantway.InvalidGrantException) as refused:
        calling.create_token(**PARAMS)
    signature = transport.requests[0].headers["Authorization"].rpartition("=")[2]
    for secret in (signature, KEYS.token, KEYS.secret_key):
        assert str(secret) not in f"{refused.value} {refused.value.error_description}"
    assert "secret" not in repr(calling.auth)


@pytest.mark.parametrize("find", [lambda: None])
def test_sends_nothing_without_credentials(find: Callable[[], None]) -> None:
    calling, transport = client(auth=AwsIam(ARN, REGION, find))
    with pytest.raises(ConfigurationError, match="botocore found none"):
        calling.create_token(**PARAMS)
    assert not transport.requests
    with pytest.raises(ConfigurationError, match="region"):
        AwsIam(ARN, "")


def test_signs_with_the_current_time() -> None:
    calling, transport = client(answer(200, ANSWER))
    before = datetime.now(UTC).replace(microsecond=0)
    calling.create_token(**PARAMS)
    timestamp = transport.requests[0].headers["X-Amz-Date"]
    signed = datetime.strptime(timestamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    assert before <= signed <= datetime.now(UTC)
