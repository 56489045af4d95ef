"""Programs can read the members of an error response, and no repr shows them."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import traceback
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from grantway import (
    Client,
    GrantwayError,
    InvalidGrantException,
    LoginNeededError,
    OutcomeUnknownError,
    PluginError,
    Provider,
    ProviderUnavailableError,
    ResponseInvalidError,
    RetryPolicy,
    SlowDownException,
    TokenError,
    UnknownTokenError,
    build_registry,
    hookimpl,
)
from grantway._secrets.error_members import Members, members_of
from grantway_grants import authorization_code
from tests import faults
from tests.faults import Act, FaultServer

MFA = "Fe26.2**mfa-very-secret**0123456789"
MFA_REQUIRED = {
    "error": "mfa_required",
    "error_description": "Multifactor authentication required",
    "mfa_token": MFA,
    "mfa_requirements": {"challenge": [{"type": "otp", "hint": MFA}]},
    "interval": 7,
}
REFRESH: dict[str, Any] = {"grant_type": "refresh_token", "refresh_token": "rt-sent-0123456789"}


def raised(act: Act, **options: Any) -> Any:
    with FaultServer(act) as server:
        dialect = options.pop("dialect", "rfc6749")
        client = Client(
            Provider(server.token_endpoint, dialect=dialect),
            client_id="c",
            client_secret="secret",
            auth="client_secret_post",
            retry=RetryPolicy(attempts=1),
            **options,
        )
        with client, pytest.raises(GrantwayError) as caught:
            client.create_token(**REFRESH)
    return caught.value


def test_members_can_be_read_and_are_masked(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    error = raised(faults.respond(403, MFA_REQUIRED))
    assert type(error) is UnknownTokenError
    assert error.members["mfa_token"] == MFA
    assert error.members["interval"] == 7
    assert error.members["mfa_requirements"]["challenge"][0]["hint"] == MFA
    assert json.loads(json.dumps(error.members)) == MFA_REQUIRED
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    for text in (
        *(text for each in twins(error) for text in (str(each), repr(each), repr(vars(each)))),
        f"{error.members} {error.members!r} {error.evidence!r}",
        repr(error.members["mfa_requirements"]),
        repr(error.response),
        "".join(shown.format()),
        caplog.text,
    ):
        assert MFA not in text
    for twin in twins(error):
        assert twin.members == error.members


def twins(error: Any) -> list[Any]:
    return [error, copy.copy(error), copy.deepcopy(error), pickle.loads(pickle.dumps(error))]


CASES: dict[str, tuple[int, Any, type[GrantwayError]]] = {
    "refused": (400, {"error": "invalid_grant", "claims": "C"}, InvalidGrantException),
    "polled too fast": (400, {"error": "slow_down", "claims": "C"}, SlowDownException),
    "refused with 200": (200, {"error": "invalid_grant", "claims": "C"}, InvalidGrantException),
    "busy": (429, {"error": "too_many_requests", "claims": "C"}, ProviderUnavailableError),
    "away": (503, {"message": "maintenance", "claims": "C"}, ProviderUnavailableError),
    "failed": (500, {"error": "boom", "claims": "C"}, OutcomeUnknownError),
    "no code": (400, {"claims": "C"}, ResponseInvalidError),
    "no token": (200, {"access_token": "", "claims": "C"}, ResponseInvalidError),
}


@pytest.mark.parametrize(("status", "body", "kind"), CASES.values(), ids=CASES)
def test_every_decoded_response_has_members(status: int, body: Any, kind: Any) -> None:
    error = raised(faults.respond(status, body))
    assert type(error) is kind
    assert error.members["claims"] == "C"


@pytest.mark.parametrize(
    ("dialect", "status", "body"),
    [
        ("facebook", 400, {"error": {"type": "OAuthException", "code": 190, "fbtrace_id": "A"}}),
        ("fitbit", 401, {"errors": [{"errorType": "invalid_grant", "message": "no"}], "x": 1}),
    ],
)
def test_members_keep_the_structure_of_the_response(dialect: str, status: int, body: Any) -> None:
    error = raised(faults.respond(status, body), dialect=dialect)
    assert isinstance(error, TokenError)
    assert error.members == body


def test_reads_members_if_a_header_names_the_error() -> None:
    act = faults.respond(
        400,
        {"message": "no", "endpoint": "https://oidc.example.com"},
        {"x-amzn-errortype": "InvalidGrantException:http://x/"},
    )
    error = raised(act, dialect="aws-sso-oidc")
    assert isinstance(error, InvalidGrantException)
    assert error.members["endpoint"] == "https://oidc.example.com"


@pytest.mark.parametrize(
    "act", [faults.respond(503, b"<html>"), faults.respond(400, [1]), faults.close_after_request]
)
def test_an_error_without_an_object_has_no_members(act: Act) -> None:
    assert raised(act).members == {}


def test_masks_only_the_sent_secrets() -> None:
    body = {
        "error": "invalid_grant",
        "echo": f"you sent {REFRESH['refresh_token']}, and secret.",
        "mfa_token": "a-secret-of-another-kind",
        REFRESH["refresh_token"]: "secret",
    }
    error = raised(faults.respond(400, body))
    assert dict(error.members) == {
        "error": "invalid_grant",
        "echo": "you sent ***, and ***.",
        "mfa_token": "a-secret-of-another-kind",
        "***": "***",
    }


def test_copies_deeply_nested_members() -> None:
    deep: Any = "bottom"
    for _ in range(500):
        deep = {"a": [deep]}
    assert "bottom" not in json.dumps(members_of(deep, ()))


def test_error_classes_and_middleware_can_read_members() -> None:
    class MfaRequiredError(TokenError):
        code = wire = "mfa_required"

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self.wait = options["evidence"].members.get("interval")

        @property
        def mfa_token(self) -> str:
            return str(self.members["mfa_token"])

    class Plugin:
        @hookimpl
        def grantway_register_errors(self) -> dict[str, type[TokenError]]:
            return {"mfa_required": MfaRequiredError}

        @hookimpl
        def grantway_register_middleware(self) -> list[Any]:
            def look(exchange: Any) -> Any:
                try:
                    return (yield exchange)
                except TokenError as error:
                    seen.append(error.members)
                    raise

            return [look]

    seen: list[Mapping[str, Any]] = []
    registry = build_registry({"mfa": Plugin()}, only=["grantway"])
    error = raised(faults.respond(403, MFA_REQUIRED), registry=registry)
    assert isinstance(error, MfaRequiredError)
    assert (error.mfa_token, error.wait) == (MFA, 7)
    assert seen == [MFA_REQUIRED]


def test_names_an_error_class_that_raises() -> None:
    class QuotaError(TokenError):
        code = wire = "quota"

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self.left = 100 / (self.evidence.members.get("used", 1))

    plugin = SimpleNamespace(
        grantway_register_errors=hookimpl(
            specname="grantway_register_errors", function=lambda: {"quota": QuotaError}
        )
    )
    registry = build_registry({"quota": plugin}, only=["grantway"])
    error = raised(faults.respond(400, {"error": "quota", "used": 0}), registry=registry)
    assert isinstance(error, PluginError)
    assert isinstance(error.__cause__, ZeroDivisionError)
    assert "QuotaError" in str(error)
    assert error.members["used"] == 0


def test_a_credential_keeps_the_members_of_an_error() -> None:
    body = {"error": "invalid_grant", "suberror": "basic_action", "claims": "C"}
    with FaultServer(faults.respond(400, body)) as server:
        client = Client(Provider(server.token_endpoint), client_id="c")
        with client, pytest.raises(LoginNeededError) as caught:
            client.credential(**REFRESH).token()
    assert caught.value.members["claims"] == "C"


def test_an_error_in_a_redirect_has_members() -> None:
    provider = Provider("https://e.com/token", authorization_endpoint="https://e.com/authorize")
    flow = authorization_code.AuthorizationCodeFlow(Client(provider, client_id="c"))
    request = flow.begin("http://127.0.0.1:1/callback")
    redirect = f"{request.redirect_uri}?error=access_denied&ref=R-1&state={request.state}"
    with pytest.raises(TokenError) as caught:
        flow.code(request, redirect)
    assert caught.value.members["ref"] == "R-1"
    assert request.state not in caught.value.members.values()


def test_error_reports_show_only_the_names_of_members() -> None:
    from rich.pretty import pretty_repr  # noqa: PLC0415 - only here

    assert "very-secret" not in pretty_repr(Members(MFA_REQUIRED))
