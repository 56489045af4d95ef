"""The drop-in client retries like boto3's standard mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError

import grantway
from grantway._exceptions import ConfigurationError
from grantway_plugins import aws
from tests import faults
from tests.aws_sessions import boto3_session
from tests.faults import Act, FaultServer
from tests.plugins.aws.aws import CALL

TOKEN = faults.respond(200, {"accessToken": "at", "tokenType": "Bearer"})
TYPE = "x-amzn-ErrorType"
CODE_CALL = {**CALL, "grantType": "authorization_code", "code": "code-1"}
DEVICE_CALL = {
    **CALL,
    "grantType": "urn:ietf:params:oauth:grant-type:device_code",
    "deviceCode": "device-1",
}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the delays between attempts."""
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.0)
    monkeypatch.setattr("random.uniform", lambda *_: 0.0)


def by_boto3(**options: Any) -> Any:
    return boto3_session().client("sso-oidc", **options)


MAKERS: list[Callable[..., Any]] = [by_boto3, aws.client]


def connect(make: Callable[..., Any], url: str, **options: Any) -> Any:
    return make(region_name="us-east-1", endpoint_url=url, **options)


def both(*acts: Act, call: dict[str, Any] = CALL, **options: Any) -> list[tuple[int, Any]]:
    """Return the number of requests of each client and its result."""
    ends = []
    for make in MAKERS:
        with FaultServer(*acts) as server:
            client = connect(make, server.url, **options)
            try:
                end: Any = client.create_token(**call)
            except Exception as error:  # noqa: BLE001 - compares whatever boto3 raises
                end = error
            client.close()
        ends.append((len(server.requests), end))
    return ends


ANSWERS: dict[str, Act] = {
    "500": faults.respond(500, b""),
    "500 with a page": faults.respond(500, b"<html>oops</html>", {"Content-Type": "text/html"}),
    "502 with a page": faults.respond(502, b"<html>bad gateway</html>"),
    "503": faults.respond(503, b""),
    "504 with text": faults.respond(504, b"timed out"),
    "InternalServerException": faults.respond(
        500, {"error": "server_error"}, {TYPE: "InternalServerException"}
    ),
    "400 ThrottlingException": faults.respond(
        400, {"message": "Slow."}, {TYPE: "ThrottlingException"}
    ),
    "429 TooManyRequestsException": faults.respond(
        429, {"message": "Slow."}, {TYPE: "TooManyRequestsException"}
    ),
    "503 ThrottlingException": faults.respond(
        503, {"message": "Slow."}, {TYPE: "ThrottlingException"}
    ),
    "400 RequestTimeout": faults.respond(400, {"message": "Late."}, {TYPE: "RequestTimeout"}),
    "429": faults.respond(429, b""),
    "429 with a page": faults.respond(429, b"<html>slow down</html>"),
    "429 SlowDownException": faults.respond(
        429, {"error": "slow_down"}, {TYPE: "SlowDownException"}
    ),
    "400 with a page": faults.respond(400, b"<html>captive portal"),
    "400": faults.respond(400, b""),
    "404 with a page": faults.respond(404, b"<html>not here</html>"),
    "407": faults.respond(407, b""),
    "501": faults.respond(501, b""),
    "invalid_grant": faults.respond(
        400,
        {"error": "invalid_grant", "error_description": "Spent."},
        {TYPE: "InvalidGrantException"},
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_retries_and_raises_the_same_errors(name: str) -> None:
    (theirs_sent, theirs), (sent, mine) = both(ANSWERS[name])
    assert sent == theirs_sent
    assert isinstance(theirs, ClientError)
    assert isinstance(mine, ClientError)
    if type(theirs) is not ClientError:
        assert type(mine).__name__ == type(theirs).__name__
    assert isinstance(mine, grantway.TokenError)
    assert mine.response["Error"]["Code"] == theirs.response["Error"]["Code"]
    assert mine.response["ResponseMetadata"] == theirs.response["ResponseMetadata"]
    if "<" not in str(theirs):  # our message omits the markup
        assert mine.response["Error"] == theirs.response["Error"]
        assert str(mine) == str(theirs)


@pytest.mark.parametrize("call", [CALL, DEVICE_CALL], ids=["refresh token", "device code"])
@pytest.mark.parametrize("name", list(ANSWERS)[:10])
def test_returns_the_response_of_a_successful_retry(name: str, call: dict[str, Any]) -> None:
    (theirs_sent, theirs), (sent, mine) = both(ANSWERS[name], ANSWERS[name], TOKEN, call=call)
    assert sent == theirs_sent == 3
    assert mine == theirs
    assert mine["ResponseMetadata"]["RetryAttempts"] == 2


def test_retries_a_lost_connection_like_boto3() -> None:
    (theirs_sent, theirs), (sent, mine) = both(faults.reset_after_request)
    assert sent == theirs_sent == 3
    assert isinstance(theirs, ConnectionClosedError)
    assert isinstance(mine, ConnectionClosedError)
    (_, theirs), (sent, mine) = both(faults.reset_after_request, TOKEN)
    assert sent == 2
    assert mine == theirs


def test_retries_an_unreachable_service_as_often_as_boto3() -> None:
    url = f"http://127.0.0.1:{faults.free_port()}"
    for make in MAKERS:
        client = connect(make, url)
        with pytest.raises(EndpointConnectionError) as caught:
            client.create_token(**CALL)
        client.close()
    assert isinstance(caught.value, grantway.ConnectionFailedError)
    assert caught.value.evidence.attempts <= 3
    assert len(caught.value.evidence.history) == 3


@pytest.mark.parametrize("act", [ANSWERS["500"], faults.reset_after_request], ids=["500", "reset"])
def test_does_not_resend_a_code_after_an_unknown_outcome(act: Act) -> None:
    """Documented difference: using a code twice may revoke its tokens."""
    (theirs_sent, theirs), (sent, mine) = both(act, call=CODE_CALL)
    assert (theirs_sent, sent) == (3, 1)
    assert isinstance(mine, type(theirs))
    assert isinstance(mine, grantway.OutcomeUnknownError)


@pytest.mark.parametrize("name", ["503", "400 ThrottlingException", "429"])
def test_resends_a_code_that_was_rejected_unread(name: str) -> None:
    (theirs_sent, theirs), (sent, mine) = both(ANSWERS[name], TOKEN, call=CODE_CALL)
    assert sent == theirs_sent == 2
    assert mine == theirs


@pytest.mark.parametrize("operation", ["register_client", "start_device_authorization"])
def test_retries_other_operations(operation: str) -> None:
    params = {
        "register_client": {"clientName": "n", "clientType": "public"},
        "start_device_authorization": {
            "clientId": "c",
            "clientSecret": "s",
            "startUrl": "https://x",
        },
    }[operation]
    for make in MAKERS:
        with FaultServer(ANSWERS["500"], faults.respond(200, {"clientId": "c"})) as server:
            client = connect(make, server.url)
            getattr(client, operation)(**params)
            client.close()
        assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("environment", "retries"),
    [
        ({"AWS_MAX_ATTEMPTS": "2"}, None),
        ({"AWS_MAX_ATTEMPTS": "1"}, None),
        ({"AWS_MAX_ATTEMPTS": "4"}, {"max_attempts": 1}),
        ({}, {"max_attempts": 0}),
        ({}, {"total_max_attempts": 4}),
        ({}, {"total_max_attempts": 2, "max_attempts": 5}),
        ({"AWS_RETRY_MODE": "standard"}, None),
        ({"AWS_RETRY_MODE": "legacy"}, None),
        ({"AWS_RETRY_MODE": "legacy"}, {"mode": "standard"}),
        ({}, {"mode": "adaptive"}),
    ],
    ids=str,
)
def test_configures_the_number_of_attempts_like_boto3(
    environment: dict[str, str], retries: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("botocore.retryhandler.delay_exponential", lambda *_, **__: 0.0)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    (theirs_sent, _), (sent, _) = both(
        ANSWERS["500"], config=None if retries is None else Config(retries=retries)
    )
    assert sent == theirs_sent


@pytest.mark.parametrize(
    ("name", "value"),
    [("AWS_MAX_ATTEMPTS", "0"), ("AWS_MAX_ATTEMPTS", "many"), ("AWS_RETRY_MODE", "hasty")],
)
def test_rejects_invalid_retry_settings(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=name.removeprefix("AWS_").lower()):
        aws.client("us-east-1")
