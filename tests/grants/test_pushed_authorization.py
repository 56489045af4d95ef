"""Pushed authorization requests (RFC 9126)."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from hypothesis import given, strategies as st

import grantway
from grantway._exceptions import (
    ConfigurationError,
    GrantwayError,
    InvalidRequestException,
    ResponseInvalidError,
)
from grantway._requests.retry import RetryPolicy
from grantway._transport.deadline import Deadline
from grantway._transport.http import HttpRequest, HttpResponse
from grantway_grants.authorization_code import (
    AuthorizationCodeFlow,
    code_challenge,
    login_by_paste,
)

REDIRECT = "http://127.0.0.1:8400/callback"
PAR = "https://as.example/par"
REFERENCE = "urn:ietf:params:oauth:request_uri:6esc_11ACC5bwc014ltc14eY22c"


@dataclass
class Endpoints:
    """A transport with a list of responses per URL."""

    script: dict[str, list[tuple[int, dict[str, Any]]]]
    requests: list[HttpRequest] = field(default_factory=list)

    def send(self, request: HttpRequest, deadline: Deadline) -> HttpResponse:
        self.requests.append(request)
        status, body = self.script[request.url].pop(0)
        return HttpResponse(status, {}, json.dumps(body).encode())

    def close(self) -> None:
        """There is nothing to close."""


def pushed(*more: tuple[int, dict[str, Any]]) -> Endpoints:
    return Endpoints({PAR: [*more, (201, {"request_uri": REFERENCE, "expires_in": 60})]})


def client(transport: Endpoints, **metadata: Any) -> grantway.Client:
    return grantway.Client(
        grantway.Provider(
            "https://as.example/token",
            authorization_endpoint="https://as.example/authorize?tenant=1",
            metadata=metadata,
        ),
        client_id="my-client",
        client_secret="secret-1234",
        transport=transport,
        retry=RetryPolicy(base=0),
    )


def supported(**more: Any) -> dict[str, Any]:
    return {"pushed_authorization_request_endpoint": PAR, **more}


def test_the_browser_sends_only_a_reference() -> None:
    transport = pushed()
    flow = AuthorizationCodeFlow(
        client(transport, **supported()), scope="read write", extra={"prompt": "login"}, par=True
    )
    request = flow.begin(REDIRECT)
    assert parse_qs(urlsplit(request.url).query) == {
        "tenant": ["1"],
        "client_id": ["my-client"],
        "request_uri": [REFERENCE],
    }
    (sent,) = transport.requests
    assert sent.headers["Authorization"].startswith("Basic ")
    assert dict(parse_qsl(sent.body.decode())) == {
        "response_type": "code",
        "client_id": "my-client",
        "redirect_uri": REDIRECT,
        "scope": "read write",
        "state": request.state,
        "code_challenge": code_challenge(request.code_verifier),
        "code_challenge_method": "S256",
        "prompt": "login",
    }


@pytest.mark.parametrize(
    ("metadata", "par", "expected"),
    [
        ({"require_pushed_authorization_requests": True}, None, True),
        ({"require_pushed_authorization_requests": True}, False, False),
        ({"require_pushed_authorization_requests": "yes"}, None, False),
        ({}, None, False),
        ({}, True, True),
    ],
)
def test_pushes_if_the_provider_requires_or_the_caller_requests_it(
    metadata: dict[str, Any], par: bool | None, expected: bool
) -> None:
    flow = AuthorizationCodeFlow(client(pushed(), **supported(**metadata)), par=par)
    assert ("request_uri" in flow.begin(REDIRECT).url) is expected


def test_requests_a_token_with_the_code() -> None:
    transport = pushed()
    transport.script["https://as.example/token"] = [(200, {"access_token": "at-1"})]

    def person(url: str) -> str:
        (push,) = transport.requests
        state = dict(parse_qsl(push.body.decode()))["state"]
        return f"{REDIRECT}?code=c-1&state={state}"

    got = login_by_paste(client(transport, **supported()), person, redirect_uri=REDIRECT, par=True)
    assert got.access_token == "at-1"
    push, redeem = (dict(parse_qsl(request.body.decode())) for request in transport.requests)
    assert code_challenge(redeem["code_verifier"]) == push["code_challenge"]


def test_retries_a_push_with_a_lost_response() -> None:
    transport = pushed((502, {}))
    flow = AuthorizationCodeFlow(client(transport, **supported()), par=True)
    assert "request_uri" in flow.begin(REDIRECT).url
    assert len(transport.requests) == 2


def test_a_rejected_push_ends_the_login_before_the_browser_opens() -> None:
    refused = (400, {"error": "invalid_request", "error_description": "no such redirect_uri"})
    flow = AuthorizationCodeFlow(client(Endpoints({PAR: [refused]}), **supported()), par=True)
    with pytest.raises(InvalidRequestException, match="no such redirect_uri") as caught:
        flow.begin(REDIRECT)
    assert caught.value.evidence.step == "pushed_authorization_request"


def test_masks_the_state_that_an_error_repeats() -> None:
    class Echo(Endpoints):
        def send(self, request: HttpRequest, deadline: Deadline) -> HttpResponse:
            state = dict(parse_qsl(request.body.decode()))["state"]
            body = {"error": "invalid_request", "error_description": f"bad {state}"}
            return HttpResponse(400, {}, json.dumps(body).encode())

    flow = AuthorizationCodeFlow(client(Echo({}), **supported()), par=True)
    with pytest.raises(InvalidRequestException) as caught:
        flow.begin(REDIRECT)
    assert caught.value.error_description == "bad ***"


@pytest.mark.parametrize("body", [{}, {"request_uri": ""}, {"request_uri": 7}])
def test_rejects_a_response_without_a_reference(body: dict[str, Any]) -> None:
    flow = AuthorizationCodeFlow(client(Endpoints({PAR: [(201, body)]}), **supported()), par=True)
    with pytest.raises(ResponseInvalidError, match="without returning a request_uri"):
        flow.begin(REDIRECT)


def test_names_a_missing_endpoint_before_sending() -> None:
    transport = pushed()
    flow = AuthorizationCodeFlow(client(transport), par=True)
    with pytest.raises(ConfigurationError, match="pushed_authorization_request_endpoint"):
        flow.begin(REDIRECT)
    assert not transport.requests


VALUES = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text(), max_size=2)


@given(
    st.sampled_from([200, 201, 400, 503]),
    st.dictionaries(st.sampled_from(["request_uri", "expires_in", "error"]), VALUES) | VALUES,
)
def test_any_response_to_a_push_gives_a_url_or_a_grantway_error(status: int, body: Any) -> None:
    transport = Endpoints({PAR: [(status, body)] * 3})
    try:
        request = AuthorizationCodeFlow(client(transport, **supported()), par=True).begin(REDIRECT)
    except GrantwayError:
        return
    assert request.url.isascii()
