"""Tests of the CIBA flow: starting, polling, and every outcome."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs

import pytest

import grantway
from grantway._transport.http import HttpRequest, HttpResponse
from grantway_plugins.grants.ciba import GRANT_TYPE, BackchannelAuthentication, CibaFlow
from tests.plugins.client_auth.scripted import (
    TOKEN_ENDPOINT,
    Scripted,
    answer,
    form,
    refusal,
    token,
)

ASKED = {"auth_req_id": "a-secret-request-id", "expires_in": 120, "interval": 2}


class Login:
    """A flow against scripted responses, with the pauses that it made."""

    def __init__(self, *script: HttpResponse | Exception) -> None:
        self.transport = Scripted(list(script))
        self.pauses: list[float] = []
        provider = grantway.Provider(
            TOKEN_ENDPOINT,
            metadata={"backchannel_authentication_endpoint": "https://as.example/ciba"},
        )
        client = grantway.Client(
            provider, client_id="me", client_secret="s3cr3t", transport=self.transport
        )
        self.flow = CibaFlow(client, scope="openid read", pause=self.pauses.append)

    @property
    def sent(self) -> list[HttpRequest]:
        return self.transport.requests

    def start(self, **params: Any) -> BackchannelAuthentication:
        return self.flow.start(**{"login_hint": "user-1", **params})


def test_starts_and_polls_until_the_token_is_issued() -> None:
    login = Login(answer(200, ASKED), refusal("authorization_pending"), token())
    asked = login.start(binding_message="W4SCT", requested_expiry=120)
    assert "a-secret-request-id" not in repr(asked)
    heard: list[str] = []
    assert login.flow.wait(asked, on_poll=heard.append).access_token == "at-1"
    assert heard == ["authorization_pending"]
    assert login.pauses == [2, 2]
    assert login.sent[0].url == "https://as.example/ciba"
    assert form(login.sent[0]) == {
        "scope": "openid read",
        "login_hint": "user-1",
        "binding_message": "W4SCT",
        "requested_expiry": "120",
    }
    assert form(login.sent[2]) == {"grant_type": GRANT_TYPE, "auth_req_id": "a-secret-request-id"}


def test_sends_resource_and_extra_with_both_requests() -> None:
    login = Login(answer(200, ASKED), token())
    asked = login.start(
        resource=["https://a.example/", "https://b.example/"],
        extra={"tenant": "7", "acr_values": "loa2"},
    )
    login.flow.wait(asked)
    first, poll = (parse_qs(request.body.decode()) for request in login.sent)
    for sent in (first, poll):
        assert sent["resource"] == ["https://a.example/", "https://b.example/"]
        assert sent["tenant"] == ["7"]
    assert first["acr_values"] == ["loa2"]
    assert "acr_values" not in poll


def test_slow_down_increases_the_interval_permanently() -> None:
    login = Login(
        answer(200, {**ASKED, "interval": None}),
        refusal("slow_down"),
        refusal("authorization_pending"),
        token(),
    )
    login.flow.wait(login.start())
    assert login.pauses == [5, 10, 10]


@pytest.mark.parametrize("interval", [None, 0, -1, "0", "soon", True, []])
def test_an_invalid_interval_counts_as_five_seconds(interval: Any) -> None:
    login = Login(answer(200, {**ASKED, "interval": interval}), token())
    login.flow.wait(login.start())
    assert login.pauses == [5]


def test_temporary_failures_do_not_end_the_wait() -> None:
    login = Login(
        answer(200, ASKED),
        answer(500, {"error": "server_error"}),
        answer(400, {"error": "temporarily_unavailable"}),
        HttpResponse(200, {"content-type": "text/html"}, b"<html>Log in"),
        grantway.ConnectionFailedError("Could not reach as.example: unknown name."),
        answer(400, {"error": "slow_down", "interval": 20}, retry_after="30"),
        refusal("authorization_pending"),
        token(),
    )
    login.flow.wait(login.start())
    assert login.pauses == [2, 4, 8, 16, 32, 30, 20]


def test_the_timeout_error_names_the_last_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    login = Login(answer(200, ASKED), *[answer(502, {}) for _ in range(100)])
    clock = SimpleNamespace(monotonic=lambda: sum(login.pauses))
    monkeypatch.setattr("grantway_plugins.grants.ciba.time", clock)
    with pytest.raises(grantway.FlowTimeoutError, match=r"The last poll failed: .*status 502"):
        login.flow.wait(login.start())


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("access_denied", grantway.AccessDeniedException),
        ("expired_token", grantway.ExpiredTokenException),
        ("transaction_failed", grantway.UnknownTokenError),
    ],
)
def test_a_denial_ends_the_wait(code: str, error: type[grantway.TokenError]) -> None:
    login = Login(answer(200, ASKED), refusal(code))
    with pytest.raises(error):
        login.flow.wait(login.start())


def test_raises_the_providers_error_for_an_unknown_user() -> None:
    login = Login(refusal("unknown_user_id"))
    with pytest.raises(grantway.TokenError, match="does not know") as refused:
        login.start()
    assert refused.value.error == "unknown_user_id"


@pytest.mark.parametrize(
    "hints",
    [
        {"login_hint": None},
        {"id_token_hint": "an-id-token"},
        {"login_hint_token": "t0ken", "id_token_hint": "an-id-token"},
    ],
)
def test_requires_exactly_one_hint(hints: dict[str, str | None]) -> None:
    login = Login()
    with pytest.raises(grantway.RequestInvalidError, match="exactly one of") as refused:
        login.start(**hints)
    assert not login.sent
    assert "an-id-token" not in str(refused.value)


def test_extra_rejects_parameters_that_are_arguments() -> None:
    login = Login()
    with pytest.raises(grantway.ConfigurationError, match="must not contain scope; "):
        login.start(extra={"scope": "all", "acr_values": "1"})


def test_the_repr_hides_the_auth_req_id() -> None:
    login = Login(refusal("invalid_user_code", "0000-1111 is wrong"))
    with pytest.raises(grantway.TokenError) as refused:
        login.start(user_code="0000-1111")
    assert "0000-1111" not in str(refused.value)


@pytest.mark.parametrize(
    "missing", [{"auth_req_id": ""}, {"auth_req_id": 7}, {"expires_in": None}, {"expires_in": "x"}]
)
def test_rejects_a_response_without_required_members(missing: dict[str, Any]) -> None:
    login = Login(answer(200, {**ASKED, **missing}))
    with pytest.raises(grantway.ResponseInvalidError, match="auth_req_id"):
        login.start()


def test_times_out_if_the_user_does_not_respond() -> None:
    login = Login(answer(200, {**ASKED, "expires_in": 0}))
    with pytest.raises(grantway.FlowTimeoutError, match="did not respond"):
        login.flow.wait(login.start())


def test_setting_cancel_ends_the_wait() -> None:
    login = Login(answer(200, ASKED))
    asked = login.start()
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(grantway.FlowCancelledError):
        login.flow.wait(asked, cancel=cancel)


def test_reports_a_missing_endpoint_before_sending() -> None:
    client = grantway.Client(
        grantway.Provider(TOKEN_ENDPOINT), client_id="me", transport=Scripted([])
    )
    with pytest.raises(grantway.ConfigurationError, match="backchannel_authentication_endpoint"):
        CibaFlow(client).start(login_hint="user-1")


def test_a_lost_response_does_not_prompt_the_user_twice() -> None:
    login = Login(grantway.OutcomeUnknownError("lost"), answer(200, ASKED))
    with pytest.raises(grantway.OutcomeUnknownError):
        login.start()
    assert len(login.sent) == 1


def test_retries_a_request_that_was_not_processed() -> None:
    login = Login(HttpResponse(503, {"retry-after": "0"}, b""), answer(200, ASKED))
    assert login.start().auth_req_id == "a-secret-request-id"
    assert len(login.sent) == 2


def test_extra_accepts_names_of_call_arguments() -> None:
    login = Login(answer(200, ASKED), token())
    login.flow.wait(login.start(extra={"timeout": "60", "step": "up", "cancel": "no"}))
    for request in login.sent:
        assert form(request) | {"timeout": "60", "step": "up", "cancel": "no"} == form(request)
