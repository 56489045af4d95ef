"""Tests of the drop-in client without boto3."""

from __future__ import annotations

import pickle
import subprocess
import sys
import traceback
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

import grantway
from grantway._exceptions import (
    TOKEN_ERRORS,
    ConfigurationError,
    InsecureEndpointError,
    OutcomeUnknownError,
    RequestInvalidError,
    ResponseInvalidError,
    TokenError,
)
from grantway_plugins import aws
from tests import faults
from tests.faults import FaultServer
from tests.plugins.aws.aws import CALL, ours

REFUSED = {"error": "invalid_grant", "error_description": "Spent."}
VALUES = ("cs-very-secret-0123456789", "rt-very-secret-0123456789")


def raised(body: Any, status: int = 400, **headers: str) -> Any:
    with FaultServer(faults.respond(status, body, headers)) as server:
        client = ours(server.url)
        with pytest.raises(grantway.GrantwayError) as caught:
            client.create_token(**CALL)
        client.close()
    return caught.value


@pytest.mark.parametrize(
    ("region", "endpoint"),
    [
        ("eu-west-1", "https://oidc.eu-west-1.amazonaws.com"),
        ("us-gov-west-1", "https://oidc.us-gov-west-1.amazonaws.com"),
        ("cn-north-1", "https://oidc.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_the_region_decides_the_endpoint(region: str, endpoint: str) -> None:
    client = aws.client(region)
    assert (client.meta.region_name, client.meta.endpoint_url) == (region, endpoint)
    client.close()


def test_takes_region_and_endpoint_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    # Other AWS tools read AWS_REGION; if both are set, the variable of boto3 has precedence.
    monkeypatch.setenv("AWS_REGION", "eu-west-3")
    assert aws.client().meta.region_name == "eu-west-3"
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-north-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    client = aws.client()
    assert (client.meta.region_name, client.meta.endpoint_url) == (
        "eu-north-1",
        "http://127.0.0.1:1",
    )
    monkeypatch.setenv("AWS_ENDPOINT_URL_SSO_OIDC", "http://127.0.0.1:2")
    assert aws.client().meta.endpoint_url == "http://127.0.0.1:2"
    assert aws.client(endpoint_url="http://127.0.0.1:3").meta.endpoint_url.endswith(":3")


@pytest.mark.parametrize("region", [None, "", "nowhere", "eu-west-1.evil.example/x#", "EU-WEST-1"])
def test_rejects_an_invalid_region(region: str | None) -> None:
    with pytest.raises(ConfigurationError, match="region_name"):
        aws.client(region)


def test_rejects_an_endpoint_without_tls() -> None:
    with pytest.raises(InsecureEndpointError):
        aws.client("eu-west-1", "http://example.com")


@pytest.mark.parametrize("kind", TOKEN_ERRORS[:13], ids=lambda kind: kind.__name__)
def test_has_each_exception_by_name(kind: type[TokenError]) -> None:
    client = aws.client("eu-west-1")
    assert getattr(client.exceptions, kind.__name__) is kind
    assert kind.__name__ in dir(client.exceptions)
    client.close()


def test_a_misspelt_exception_is_an_attribute_error() -> None:
    client = aws.client("eu-west-1")
    with pytest.raises(AttributeError, match="InvalidGrantException"):
        client.exceptions.InvalidGrant  # noqa: B018
    client.close()


def test_an_error_has_the_classes_of_grantway_and_botocore() -> None:
    error = raised(REFUSED)
    assert isinstance(error, ClientError)
    assert isinstance(error, grantway.InvalidGrantException)
    assert error.response["Error"] == {"Code": "InvalidGrantException", "Message": "Spent."}
    assert type(error) is type(raised(REFUSED))


def test_pickles_an_error_as_the_class_of_grantway() -> None:
    error = raised(REFUSED)
    twin = pickle.loads(pickle.dumps(error))
    assert type(twin) is grantway.InvalidGrantException
    assert (str(twin), twin.response) == (str(error), error.response)


def test_works_without_botocore() -> None:
    code = """
import sys
from grantway_plugins import aws
client = aws.client("eu-west-1")
try:
    client.create_token()
except ValueError as error:
    print(type(error).__name__, "botocore" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.split() == ["RequestInvalidError", "False"]


def test_reports_all_invalid_parameters_without_values() -> None:
    client: Any = aws.client("eu-west-1")
    with pytest.raises(ParamValidationError) as caught:
        client.create_token(clientSecret=[VALUES[0]], refreshToken={VALUES[1]: 1}, scopes=VALUES[0])
    error: Any = caught.value
    assert isinstance(error, RequestInvalidError)
    assert isinstance(error, BotoCoreError)
    assert set(error.errors) == {
        "clientId", "clientSecret", "grantType", "refreshToken", "scopes"
    }  # fmt: skip
    shown = "".join(traceback.format_exception(error)) + repr(error)
    assert not any(value in shown for value in VALUES)
    assert not any(value.encode() in pickle.dumps(error) for value in VALUES)
    client.close()


def test_sends_an_unknown_grant_type_to_the_service() -> None:
    body = {"error": "unsupported_grant_type", "error_description": "No."}
    with FaultServer(faults.respond(400, body)) as server:
        client = ours(server.url)
        with pytest.raises(client.exceptions.UnsupportedGrantTypeException):
            client.create_token(**{**CALL, "grantType": "password"})
        client.close()
    assert server.requests[0].json["grantType"] == "password"


def test_never_sends_a_code_twice() -> None:
    with FaultServer(faults.reset_after_request) as server:
        client = ours(server.url)
        with pytest.raises(OutcomeUnknownError):
            client.create_token(**{**CALL, "grantType": "authorization_code", "code": "c-1"})
        client.close()
    assert len(server.requests) == 1


def test_a_success_response_without_a_token_is_an_error() -> None:
    error = raised({"tokenType": "Bearer", "expiresIn": 1}, 200)
    assert isinstance(error, ResponseInvalidError)
    assert "access_token" in str(error)


def test_removes_secrets_that_the_service_repeats() -> None:
    message = f"the token {VALUES[1]} of {VALUES[0]}"
    error = raised(
        {
            "error": "invalid_grant",
            "error_description": message,
            "reason": message,
            "error_uri": message,
        },
        **{"X-Debug": message, "Set-Cookie": "sid=1", "x-amzn-RequestId": VALUES[0]},
    )
    seen = repr(error) + str(error) + repr(error.response) + repr(vars(error))
    assert not any(value in seen for value in VALUES)
    assert not any(value.encode() in pickle.dumps(error) for value in VALUES)
    assert "set-cookie" not in error.evidence.headers


def test_closes_with_its_block_and_shows_no_secret() -> None:
    with (
        FaultServer(faults.respond(200, {"accessToken": "a"})) as server,
        ours(server.url) as client,
    ):
        client.create_token(**CALL)
        assert repr(client) == f"SSOOIDCClient('{server.url}')"
