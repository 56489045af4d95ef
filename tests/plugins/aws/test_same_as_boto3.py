"""The drop-in client and boto3 return the same result for the same response."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    HTTPClientError,
    ParamValidationError,
)

from grantway._exceptions import TOKEN_ERRORS, OutcomeUnknownError
from tests import faults
from tests.faults import Act, FaultServer
from tests.plugins.aws.aws import CALL, ours, stock

ELEVEN = TOKEN_ERRORS[:11]
REQUEST_ID = {"x-amzn-RequestId": "0a1b2c3d"}


def both(act: Act, **params: Any) -> tuple[Any, Any]:
    """Return the result of each client for a response: a dict or an exception."""
    results = []
    for make in (stock, ours):
        with FaultServer(act) as server:
            client = make(server.url)
            try:
                results.append(client.create_token(**{**CALL, **params}))
            except ClientError as error:
                results.append(error)
            finally:
                client.close()
    return results[0], results[1]


def assert_same_error(act: Act, name: str) -> None:
    theirs, mine = both(act)
    assert type(theirs).__name__ == type(mine).__name__ == name
    assert theirs.operation_name == mine.operation_name == "CreateToken"
    for key in ("error", "error_description", "reason"):
        if key in theirs.response:
            assert mine.response[key] == theirs.response[key]
    assert mine.response["Error"]["Code"] == theirs.response["Error"]["Code"]
    seen, expected = mine.response["ResponseMetadata"], theirs.response["ResponseMetadata"]
    assert seen["HTTPStatusCode"] == expected["HTTPStatusCode"]
    assert seen["HTTPHeaders"] == expected["HTTPHeaders"]
    assert seen["RetryAttempts"] == expected["RetryAttempts"]
    assert seen.get("RequestId") == expected.get("RequestId")


def test_returns_the_same_dict_for_a_token() -> None:
    body = {
        "accessToken": "at",
        "tokenType": "Bearer",
        "expiresIn": 3600,
        "refreshToken": "rt-2",
        "idToken": "id",
        "unknown": "dropped",
    }
    theirs, mine = both(faults.respond(200, body, REQUEST_ID))
    assert mine == theirs
    assert {type(value) for value in mine.values()} == {str, int, dict}


def test_omits_missing_fields() -> None:
    body = {"accessToken": "at", "tokenType": "Bearer", "expiresIn": 60, "idToken": None}
    theirs, mine = both(faults.respond(200, body, REQUEST_ID))
    assert mine == theirs


def test_sends_the_same_body() -> None:
    seen = []
    for make in (stock, ours):
        with FaultServer(
            faults.respond(200, {"accessToken": "at", "tokenType": "Bearer"})
        ) as server:
            client = make(server.url)
            client.create_token(**CALL, scope=["a", "b"], redirectUri="http://127.0.0.1/cb")
            client.close()
        (request,) = server.requests
        seen.append((request.method, request.target, request.json))
    assert seen[0] == seen[1]
    assert seen[0][2]["scope"] == ["a", "b"]


#: All forms in which boto3 recognises the name of an error.
FORMS: dict[str, Any] = {
    "header": lambda name, body: ({"x-amzn-ErrorType": name}, body),
    "header with an address": lambda name, body: (
        {"x-amzn-ErrorType": f"{name}:http://internal.amazon.com/coral/"},
        body,
    ),
    "header with a namespace": lambda name, body: (
        {"x-amzn-ErrorType": f"com.amazonaws.ssooidc#{name}"},
        body,
    ),
    "code": lambda name, body: ({}, {"code": name, **body}),
    "Code": lambda name, body: ({}, {"Code": name, **body}),
    "__type": lambda name, body: ({}, {"__type": name, **body}),
    "__type with a namespace": lambda name, body: (
        {},
        {"__type": f"com.amazonaws.ssooidc#{name}", **body},
    ),
}


@pytest.mark.parametrize("kind", ELEVEN, ids=lambda kind: kind.__name__)
def test_raises_the_same_for_each_of_the_eleven_exceptions(kind: Any) -> None:
    status = {"InvalidClientException": 401, "InternalServerException": 500}.get(kind.__name__, 400)
    body = {"error": kind.wire, "error_description": "Told so.", "reason": "BECAUSE"}
    header = {"x-amzn-ErrorType": kind.__name__, **REQUEST_ID}
    act = faults.respond(status, body, header)
    theirs, mine = both(act)
    assert isinstance(mine, kind)
    assert mine.response["error"] == theirs.response["error"] == kind.wire
    if status < 500:  # boto3 retries this one, even with a refresh token
        assert_same_error(act, kind.__name__)


@pytest.mark.parametrize("form", FORMS)
def test_raises_the_same_for_each_form_of_an_error(form: str) -> None:
    body = {"error": "invalid_grant", "error_description": "Spent."}
    headers, body = FORMS[form]("InvalidGrantException", body)
    assert_same_error(faults.respond(400, body, headers), "InvalidGrantException")


@pytest.mark.parametrize("text", ["message", "Message"])
def test_both_read_the_message(text: str) -> None:
    headers = {"x-amzn-ErrorType": "InvalidGrantException"}
    theirs, mine = both(faults.respond(400, {text: "Spent."}, headers))
    assert mine.response["Error"] == theirs.response["Error"]
    assert str(mine) == str(theirs)


def test_an_empty_body_has_the_class_of_the_header() -> None:
    act = faults.respond(400, b"", {"x-amzn-ErrorType": "InvalidGrantException"})
    theirs, mine = both(act)
    assert type(theirs).__name__ == type(mine).__name__ == "InvalidGrantException"
    assert mine.response["Error"] == theirs.response["Error"]
    assert str(mine) == str(theirs)


def test_a_body_with_only_an_error_code_has_its_class() -> None:
    # boto3 raises its base class here, because the response names no exception of the service.
    theirs, mine = both(faults.respond(400, {"error": "invalid_grant"}))
    assert type(theirs) is ClientError
    assert type(mine).__name__ == "InvalidGrantException"


def test_an_unknown_error_keeps_its_name() -> None:
    headers = {"x-amzn-ErrorType": "ThrottlingException"}
    theirs, mine = both(faults.respond(400, {"message": "Slow."}, headers))
    assert mine.response["Error"] == theirs.response["Error"]


@pytest.mark.parametrize(
    "change",
    [
        {"clientId": None},
        {"clientId": 1},
        {"clientSecret": b"bytes-very-secret"},
        {"scope": "not a list"},
        {"scope": {"a": "b"}},
        {"scope": {"a"}},
        {"scope": ["a", 1]},
        {"unknownParameter": "x"},
        {"client_id": "x"},
    ],
    ids=str,
)
def test_rejects_the_parameters_that_boto3_rejects_before_sending(
    change: Mapping[str, Any],
) -> None:
    with FaultServer(faults.respond()) as server:
        for make in (stock, ours):
            client = make(server.url)
            with pytest.raises(ParamValidationError) as caught:
                client.create_token(**{**CALL, **change})
            (name,) = change
            assert name in str(caught.value)
            client.close()
    assert server.connections == 0


@pytest.mark.parametrize("missing", ["clientId", "clientSecret", "grantType"])
def test_rejects_a_missing_parameter_before_sending(missing: str) -> None:
    params = {name: value for name, value in CALL.items() if name != missing}
    with FaultServer(faults.respond()) as server:
        for make in (stock, ours):
            client = make(server.url)
            with pytest.raises(ParamValidationError) as caught:
                client.create_token(**params)
            assert f'Missing required parameter in input: "{missing}"' in str(caught.value)
            client.close()
    assert server.connections == 0


def test_both_accept_a_tuple_of_scopes() -> None:
    for make in (stock, ours):
        with FaultServer(faults.respond(200, {"accessToken": "a", "tokenType": "b"})) as server:
            client = make(server.url)
            client.create_token(**CALL, scope=("a", "b"))
            client.close()
        assert json.loads(server.requests[0].body)["scope"] == ["a", "b"]


def test_other_operations_return_the_same_dicts() -> None:
    registered = {
        "clientId": "c",
        "clientSecret": "s",
        "clientIdIssuedAt": 1_700_000_000,
        "clientSecretExpiresAt": 1_710_000_000,
        "unknown": "dropped",
    }
    started = {
        "deviceCode": "d",
        "userCode": "ABCD-EFGH",
        "verificationUri": "https://example.com/device",
        "verificationUriComplete": "https://example.com/device?user_code=ABCD-EFGH",
        "expiresIn": 600,
        "interval": 1,
    }
    results = []
    for make in (stock, ours):
        with FaultServer(faults.respond(200, registered), faults.respond(200, started)) as server:
            client = make(server.url)
            results.append(
                (
                    client.register_client(clientName="n", clientType="public", scopes=["a"]),
                    client.start_device_authorization(
                        clientId="c", clientSecret="s", startUrl="https://x.awsapps.com/start"
                    ),
                    [(seen.target, seen.json) for seen in server.requests],
                )
            )
            client.close()
    assert results[0] == results[1]


@pytest.mark.parametrize("make", [stock, ours])
def test_raises_the_same_for_an_unreachable_service(make: Any) -> None:
    client = make(f"http://127.0.0.1:{faults.free_port()}")
    with pytest.raises(EndpointConnectionError):
        client.create_token(**CALL)
    client.close()


@pytest.mark.parametrize("make", [stock, ours])
def test_raises_the_same_for_a_missing_response(make: Any) -> None:
    with FaultServer(faults.reset_after_request) as server:
        client = make(server.url)
        with pytest.raises(HTTPClientError) as lost:
            client.create_token(**CALL)
        client.close()
    if make is ours:
        assert isinstance(lost.value, OutcomeUnknownError)
        assert isinstance(pickle.loads(pickle.dumps(lost.value)), OutcomeUnknownError)
