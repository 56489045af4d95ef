"""Tests of every registered dialect with the requests and responses that its provider documents."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

import pytest

import grantway
from grantway._transport.deadline import Deadline
from grantway._transport.http import HttpRequest, HttpResponse
from grantway.testing import DialectTests
from tests.docs.pages import DOCS
from tests.plugins.dialects.documented import (
    BASIC,
    ERROR_RESPONSES,
    REQUESTS,
    STANDARD,
    SUCCESSES,
    ErrorResponse,
    Request,
    Success,
    response,
)

REGISTRY = grantway.build_registry(strict=True)


@dataclass
class OneResponse:
    """A transport that always returns the same response."""

    response: HttpResponse
    requests: list[HttpRequest] = field(default_factory=list)

    def send(self, request: HttpRequest, deadline: Deadline) -> HttpResponse:
        self.requests.append(request)
        return self.response

    def close(self) -> None:
        """Do nothing."""


def client(dialect: str, transport: OneResponse) -> grantway.Client:
    return grantway.Client(
        grantway.Provider(token_endpoint="https://login.example/token", dialect=dialect),
        client_id="my-client",
        client_secret="s3cret",
        registry=REGISTRY,
        transport=transport,
    )


def named(case: Request | Success | ErrorResponse) -> str:
    return f"{case.dialect}-{case.code}" if isinstance(case, ErrorResponse) else case.dialect


@pytest.mark.parametrize("case", REQUESTS, ids=named)
def test_encodes_a_request_as_documented(case: Request) -> None:
    anywhere = {"access_token": "at", "accessToken": "at", "body": {"access_token": "at"}}
    transport = OneResponse(HttpResponse(200, {}, json.dumps(anywhere).encode()))
    asking = client(case.dialect, transport)
    asking.create_token(**STANDARD, scope=["a", "b"])
    (sent,) = transport.requests
    kind = "json" if case.json else "x-www-form-urlencoded"
    assert sent.headers["Content-Type"] == f"application/{kind}"
    assert sent.headers["Accept"] == "application/json"
    assert sent.headers.get("Authorization") == (BASIC if case.basic else None)
    body = json.loads(sent.body) if case.json else dict(parse_qsl(sent.body.decode()))
    assert body == case.body
    url = asking.dialect.encoder.authorization_url(
        "https://login.example/authorize", {"client_id": "my-client", "scope": ("a", "b")}
    )
    assert dict(parse_qsl(urlsplit(url).query)) == (
        case.login if "client_key" in case.login else {"client_id": "my-client", **case.login}
    )


class TestDocumentedDialects(DialectTests):
    """The tests for every dialect, with each documented success and the first documented error."""

    @pytest.fixture(params=SUCCESSES, ids=named)
    def case(self, request: pytest.FixtureRequest) -> Success:
        case: Success = request.param
        return case

    @pytest.fixture
    def dialect(self, case: Success) -> grantway.Dialect:
        return REGISTRY.dialects[case.dialect]

    @pytest.fixture
    def success(self, case: Success) -> tuple[HttpResponse, grantway.Token]:
        return response(case), grantway.Token(
            case.access_token,
            expires_in=case.expires_in,
            refresh_token=case.refresh_token,
            id_token=case.id_token,
            scope=case.scope,
            extra=case.extra,
        )

    @pytest.fixture
    def failure(self, case: Success) -> tuple[HttpResponse, str]:
        error = next(each for each in ERROR_RESPONSES if each.dialect == case.dialect)
        return response(error), error.code


def test_keeps_a_refresh_token_that_a_success_does_not_contain() -> None:
    body = json.dumps({"access_token": "at-1", "token_type": "Bearer"}).encode()
    token = client("rfc6749", OneResponse(HttpResponse(200, {}, body))).create_token(**STANDARD)
    assert token.refresh_token == "old"


@pytest.mark.parametrize("case", ERROR_RESPONSES, ids=named)
def test_maps_a_documented_error_to_its_exception(case: ErrorResponse) -> None:
    asking = client(case.dialect, OneResponse(response(case)))
    with pytest.raises(grantway.TokenError) as caught:
        asking.create_token(**STANDARD)
    assert type(caught.value) is case.error
    assert caught.value.error == case.code
    assert caught.value.error_description == case.description
    assert caught.value.reason == case.reason
    assert caught.value.evidence.status == case.status


def test_accepts_verification_url_in_a_device_login() -> None:
    body = {"device_code": "4/4-GMM", "user_code": "GQVQ-JKEC", "expires_in": 1800, "interval": 5}
    page = "https://www.google.com/device"
    for dialect in ("google", "microsoft"):
        decoded = REGISTRY.dialects[dialect].decoder.decode(
            HttpResponse(200, {}, json.dumps({**body, "verification_url": page}).encode())
        )
        assert decoded.payload == {**body, "verification_uri": page}


@pytest.mark.parametrize("dialect", sorted(REGISTRY.dialects))
def test_every_registered_dialect_is_tested(dialect: str) -> None:
    for cases in (REQUESTS, SUCCESSES, ERROR_RESPONSES):
        assert dialect in {case.dialect for case in cases}  # type: ignore[attr-defined]


def test_the_page_lists_every_registered_dialect_and_its_replay_window() -> None:
    text = (DOCS / "reference" / "dialects.md").read_text(encoding="utf-8")
    rows = [row for row in text.splitlines() if re.match(r"\| `[a-z]", row)]
    listed = {}
    for row in rows:
        name, provider, deviation, window = (cell.strip() for cell in row.strip("|").split(" | "))
        assert provider
        assert deviation
        listed[name.strip("`")] = window
    windows = {
        name: f"{dialect.replay_window:g} s" if dialect.replay_window else "-"
        for name, dialect in REGISTRY.dialects.items()
    }
    assert listed == windows
    assert list(listed) == ["rfc6749", *sorted(set(listed) - {"rfc6749"})]
