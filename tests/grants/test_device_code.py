"""The device flow (RFC 8628) with a scripted server and without real waits."""

from __future__ import annotations

import itertools
import json
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, strategies as st

from grantway import (
    AccessDeniedException,
    AuthorizationPendingException,
    Client,
    ConfigurationError,
    ConnectionFailedError,
    ExpiredTokenException,
    FlowCancelledError,
    FlowTimeoutError,
    GrantwayError,
    InternalServerException,
    OutcomeUnknownError,
    Provider,
    ProviderUnavailableError,
    RequestInvalidError,
    ResponseInvalidError,
    RetryPolicy,
    SlowDownException,
    Token,
)
from grantway._exceptions import Evidence
from grantway._transport.deadline import Deadline
from grantway._transport.http import HttpRequest, HttpResponse, retry_after
from grantway_grants._flow import TokenCall, run
from grantway_grants._polling import poll as polling, polling_interval, seconds
from grantway_grants.device_code import DeviceAuthorization, DeviceFlow, login
from tests import faults
from tests.faults import Act, FaultServer
from tests.waiting import PATIENCE

STARTED: dict[str, Any] = {
    "device_code": "dc-very-secret-0123456789",
    "user_code": "ABCD-EFGH",
    "verification_uri": "https://example.com/device",
    "verification_uri_complete": "https://example.com/device?user_code=ABCD-EFGH",
    "expires_in": 600,
    "interval": 5,
}
PENDING = faults.respond(400, {"error": "authorization_pending"})
SLOW = faults.respond(400, {"error": "slow_down"})
TOKEN = faults.respond()


@contextmanager
def device(*script: Act, started: Any = STARTED) -> Iterator[tuple[Client, FaultServer]]:
    """Yield a client of a server that starts a login and then follows a script."""
    with FaultServer(faults.respond(200, started), *script) as server:
        provider = Provider(
            token_endpoint=server.token_endpoint,
            device_authorization_endpoint=f"{server.url}/device_authorization",
        )
        with Client(provider, client_id="c") as client:
            yield client, server


def poll(*script: Act) -> tuple[Token, list[float], list[str]]:
    """Return the token, the waits before the polls and the outcomes of the polls."""
    pauses: list[float] = []
    outcomes: list[str] = []
    with device(*script) as (client, _):
        flow = DeviceFlow(client, pause=pauses.append)
        token = flow.wait(flow.start(), on_poll=outcomes.append)
    return token, pauses, outcomes


def test_logs_in_on_another_device() -> None:
    shown: list[DeviceAuthorization] = []
    quick = {**STARTED, "interval": 1}
    with device(PENDING, TOKEN, started=quick) as (client, server):
        token = login(client, shown.append, scope=["a", "b"], extra={"audience": "x"})
    assert token.access_token == "at-1"
    start, *polls = server.requests
    assert start.target == "/device_authorization"
    assert start.form == {"client_id": ["c"], "scope": ["a b"], "audience": ["x"]}
    assert [request.target for request in polls] == ["/token", "/token"]
    assert polls[0].form == {
        "client_id": ["c"],
        "grant_type": ["urn:ietf:params:oauth:grant-type:device_code"],
        "device_code": [STARTED["device_code"]],
        "audience": ["x"],
    }
    (authorization,) = shown
    assert authorization.user_code == "ABCD-EFGH"
    assert authorization.verification_uri_complete == STARTED["verification_uri_complete"]
    assert STARTED["device_code"] not in repr(authorization)


def test_sends_resource_and_extra_with_both_requests() -> None:
    with device(PENDING, TOKEN) as (client, server):
        flow = DeviceFlow(
            client,
            resource=["https://a.example/", "https://b.example/"],
            extra={"tenant": 7, "prompt": "login"},
            pause=lambda seconds: None,
        )
        flow.wait(flow.start())
    start, *polls = server.requests
    assert len(polls) == 2
    for request in server.requests:
        assert request.form["resource"] == ["https://a.example/", "https://b.example/"]
        assert request.form["tenant"] == ["7"]
    assert start.form["prompt"] == ["login"]
    assert all("prompt" not in request.form for request in polls)


def test_extra_accepts_functions_and_names_of_arguments() -> None:
    numbers = itertools.count(1)
    extra = {"signed": lambda: f"s-{next(numbers)}", "timeout": "9", "cancel": "c", "step": "s"}
    with device(PENDING, TOKEN) as (client, server):
        flow = DeviceFlow(client, extra=extra, pause=lambda seconds: None)
        flow.wait(flow.start())
    assert [each.form.pop("signed") for each in server.requests] == [["s-1"], ["s-2"], ["s-3"]]
    for request in server.requests:
        assert [request.form[name] for name in ("timeout", "cancel", "step")] == [
            ["9"],
            ["c"],
            ["s"],
        ]


@pytest.mark.parametrize("scope", ["", "  ", [], (), set()])
def test_omits_an_empty_scope(scope: Any) -> None:
    with device(TOKEN) as (client, server):
        flow = DeviceFlow(client, scope=scope)
        flow.start()
        client.create_token(grant_type="client_credentials", scope=scope)
        client.call("device_authorization", scope=scope)
    assert len(server.requests) == 3
    assert all("scope" not in request.form for request in server.requests)


@pytest.mark.parametrize("name", ["device_code", "scope", "grant_type", "client_id"])
def test_rejects_extra_parameters_that_the_login_sets(name: str) -> None:
    with device() as (client, _), pytest.raises(ConfigurationError, match=name):
        DeviceFlow(client, extra={name: "x"})


def test_waits_before_every_poll() -> None:
    _, pauses, outcomes = poll(PENDING, PENDING, TOKEN)
    assert pauses == [5, 5, 5]
    assert outcomes == ["authorization_pending"] * 2


def test_each_slow_down_adds_five_seconds() -> None:
    _, pauses, outcomes = poll(SLOW, PENDING, SLOW, PENDING, TOKEN)
    assert pauses == [5, 10, 10, 15, 15]
    assert outcomes.count("slow_down") == 2


@pytest.mark.parametrize(
    ("given", "pause"),
    [(20, 20), ("20", 20), (7, 10), (10, 10), (0, 10), (-30, 10), (None, 10), ("x", 10), ([], 10)],
)
def test_uses_a_longer_interval_of_a_slow_down(given: Any, pause: float) -> None:
    slow = faults.respond(400, {"error": "slow_down", "interval": given})
    _, pauses, _ = poll(slow, PENDING, SLOW, TOKEN)
    assert pauses == [5, pause, pause, pause + 5]


def test_uses_a_longer_interval_of_a_pending_response() -> None:
    pending = faults.respond(400, {"error": "authorization_pending", "interval": 12})
    _, pauses, _ = poll(pending, PENDING, TOKEN)
    assert pauses == [5, 12, 12]


def test_polls_less_often_while_the_network_fails() -> None:
    lost = faults.close_after_request
    _, pauses, outcomes = poll(lost, lost, lost, lost, lost, PENDING, TOKEN)
    assert pauses == [5, 10, 20, 40, 60, 60, 5]
    assert outcomes[:5] == ["outcome_unknown"] * 5


def test_waits_as_long_as_a_busy_provider_requests() -> None:
    _, pauses, outcomes = poll(
        faults.respond(503, b"", {"Retry-After": "33"}),
        faults.respond(429, b""),
        faults.respond(503, b"", {"Retry-After": "300"}),
        faults.respond(503, b""),
        TOKEN,
    )
    assert pauses == [5, 33, 60, 300, 60]
    assert outcomes == ["provider_unavailable"] * 4


@pytest.mark.parametrize("error", ["authorization_pending", "slow_down"])
@pytest.mark.parametrize("status", [400, 429])
def test_waits_for_a_retry_after_in_a_pending_response(error: str, status: int) -> None:
    waiting = faults.respond(status, {"error": error}, {"Retry-After": "40"})
    _, pauses, _ = poll(waiting, PENDING, TOKEN)
    assert pauses == [5, 40, 10 if error == "slow_down" else 5]


def test_a_retry_after_may_be_a_date() -> None:
    date = formatdate(time.time() + 100, usegmt=True)
    _, pauses, _ = poll(faults.respond(503, b"", {"Retry-After": date}), TOKEN)
    assert 60 < pauses[1] <= 100


def test_no_wait_exceeds_the_lifetime_of_the_code() -> None:
    started = {**STARTED, "expires_in": 30}
    pauses: list[float] = []
    with device(faults.respond(503, b"", {"Retry-After": "3600"}), TOKEN, started=started) as (
        client,
        _,
    ):
        flow = DeviceFlow(client, pause=pauses.append)
        flow.wait(flow.start())
    assert pauses[0] == 5
    assert 20 < pauses[1] <= 30


class Clock:
    """A monotonic clock that only ``pause`` advances."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def pause(self, wait: float) -> None:
        self.now += wait


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Replace the clock of the device flow."""
    clock = Clock()
    monkeypatch.setattr("grantway_grants.device_code.time", clock)
    return clock


def test_sends_nothing_before_a_retry_after_beyond_the_lifetime(clock: Clock) -> None:
    busy = faults.respond(503, b"", {"Retry-After": "3600"})
    with device(busy, TOKEN) as (client, server):
        flow = DeviceFlow(client, pause=clock.pause)
        with pytest.raises(FlowTimeoutError, match=r"The last poll failed: .* status 503"):
            flow.wait(flow.start())
    assert len(server.requests) == 2
    assert clock.now == 1600


PASSING = {
    "500 server_error": faults.respond(500, {"error": "server_error"}),
    "400 server_error": faults.respond(400, {"error": "server_error"}),
    "200 server_error": faults.respond(200, {"error": "server_error"}),
    "400 temporarily_unavailable": faults.respond(400, {"error": "temporarily_unavailable"}),
    "503 temporarily_unavailable": faults.respond(503, {"error": "temporarily_unavailable"}),
    "500 of a framework": faults.respond(500, {"error": "Internal Server Error", "status": 500}),
    "500 page": faults.respond(500, b"<html>"),
    "501": faults.respond(501, b""),
    "502 page": faults.respond(502, b"<html>"),
    "504": faults.respond(504, b""),
    "511 portal": faults.respond(511, b"<html>", {"Content-Type": "text/html"}),
    "599": faults.respond(599, b""),
    "408": faults.respond(408, b""),
    "408 JSON": faults.respond(408, {"error": "timeout"}),
    "425": faults.respond(425, b""),
    "429": faults.respond(429, b""),
    "429 JSON": faults.respond(429, {"error": "rate_limited"}),
    "empty": faults.respond(200, b""),
    "no content": faults.respond(204, b""),
    "portal": faults.respond(200, b"<html>Log in", {"Content-Type": "text/html"}),
    "portal 302": faults.respond(302, b"", {"Location": "http://portal.example/login"}),
    "portal 303": faults.respond(303, b"", {"Location": "http://portal.example/login"}),
    "portal 307": faults.respond(307, b"", {"Location": "http://portal.example/login"}),
    "cut JSON": faults.respond(200, b'{"access_token": "at'),
    "cut body": faults.half(),
    "dropped": faults.close_after_request,
    "reset": faults.reset_after_request,
    "AWS header": faults.respond(400, b"", {"X-Amzn-ErrorType": "ThrottlingException:http://x"}),
    "AWS body": faults.respond(400, {"__type": "com.amazonaws#TooManyRequestsException"}),
    "AWS internal": faults.respond(400, {"__type": "InternalServerException"}),
}


@pytest.mark.parametrize("act", PASSING.values(), ids=PASSING)
def test_a_transient_failure_does_not_end_the_login(act: Act) -> None:
    token, pauses, outcomes = poll(act, act, PENDING, TOKEN)
    assert token.access_token == "at-1"
    assert pauses == [5, 10, 20, 5]
    assert len(outcomes) == 3


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"X-Amzn-ErrorType": "ThrottlingException"}, {}),
        ({"X-Amzn-ErrorType": "TooManyRequestsException"}, {}),
        ({"X-Amzn-ErrorType": "InternalServerException"}, {"error": "server_error"}),
        ({}, {"__type": "ThrottlingException"}),
        ({}, {"code": "InternalServerException"}),
        ({}, {"Code": "com.amazonaws#TooManyRequestsException"}),
    ],
)
@pytest.mark.parametrize("status", [400, 429, 500])
def test_a_busy_aws_does_not_end_the_login(
    status: int, headers: dict[str, str], body: dict[str, str]
) -> None:
    started = {"deviceCode": "dc", "userCode": "U", "verificationUri": "https://example.com"}
    busy = faults.respond(status, body, headers)
    with device(busy, faults.respond(200, {"accessToken": "at"}), started=started) as (_, server):
        provider = Provider(
            server.token_endpoint,
            dialect="aws-sso-oidc",
            device_authorization_endpoint=f"{server.url}/device_authorization",
        )
        with Client(provider, client_id="c", client_secret="s") as client:
            flow = DeviceFlow(client, pause=lambda seconds: None)
            assert flow.wait(flow.start()).access_token == "at"


@pytest.mark.parametrize(
    "act",
    [
        faults.respond(400, {"error": "invalid_grant"}),
        faults.respond(401, {"error": "invalid_client"}),
        faults.respond(503, {"error": "access_denied"}),
        faults.respond(400, {"error": "vendor_refusal"}),
        faults.respond(404, b"<html>"),
        faults.respond(400, b""),
        faults.respond(301, b"", {"Location": "https://example.com/"}),
        faults.respond(308, b"", {"Location": "https://example.com/"}),
    ],
)
def test_a_rejection_or_a_wrong_url_ends_the_login(act: Act) -> None:
    with device(act, TOKEN) as (client, server):
        flow = DeviceFlow(client, pause=lambda seconds: None)
        with pytest.raises(GrantwayError) as ended:
            flow.wait(flow.start())
    assert not isinstance(ended.value, FlowTimeoutError)
    assert len(server.requests) == 2


def keep_polling(ask: Callable[[], Token], **options: Any) -> Token:
    """Poll with a function in place of a client."""
    client: Any = SimpleNamespace(create_token=lambda **_arguments: ask())
    return run(polling(TokenCall({}), **options), client)


def test_a_failed_name_lookup_does_not_end_the_login() -> None:
    clock = [10.0]
    asked = []

    def ask() -> Token:
        asked.append(clock[0])
        if len(asked) < 3:
            raise ConnectionFailedError("Could not reach login.example.com: unknown name.")
        return Token("at")

    def pause(seconds: float) -> None:
        clock[0] += seconds

    token = keep_polling(
        ask,
        interval=5,
        remaining=lambda: 610 - clock[0],
        expired=lambda: FlowTimeoutError("too late"),
        pause=pause,
    )
    assert token.access_token == "at"
    assert asked == [15, 25, 45]


def test_the_timeout_error_contains_only_the_last_failure(clock: Clock) -> None:
    failing = faults.respond(502, b"<html>")
    with device(failing) as (client, server):
        flow = DeviceFlow(client, pause=clock.pause)
        with pytest.raises(FlowTimeoutError, match=r"ABCD-EFGH.*last poll failed.*502") as late:
            flow.wait(flow.start())
    assert late.value.evidence.status == 502
    assert clock.now == 1600
    assert len(server.requests) > 10
    with device(failing, PENDING) as (client, _):
        flow = DeviceFlow(client, pause=clock.pause)
        with pytest.raises(FlowTimeoutError) as late:
            flow.wait(flow.start())
    assert "last poll" not in str(late.value)


def failure_of(code: str, asked: str | None, given: Any) -> GrantwayError:
    """Return the exception of a poll with this response."""
    headers = {} if asked is None else {"retry-after": asked}
    evidence = Evidence(status=503, headers=headers, members={"interval": given})
    kinds: dict[str, type[GrantwayError]] = {
        "authorization_pending": AuthorizationPendingException,
        "slow_down": SlowDownException,
        "server_error": InternalServerException,
        "busy": ProviderUnavailableError,
        "lost": OutcomeUnknownError,
    }
    return kinds[code]("It went wrong.", evidence=evidence)


def test_polls_once_if_the_code_expires_before_the_interval(clock: Clock) -> None:
    with device(TOKEN, started={**STARTED, "expires_in": 4}) as (client, _):
        flow = DeviceFlow(client, pause=clock.pause)
        assert flow.wait(flow.start()).access_token == "at-1"
    assert clock.now == 1002


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["authorization_pending", "slow_down", "server_error", "busy", "lost"]),
        st.none() | st.integers(0, 10_000).map(str) | st.text(max_size=5),
        st.none() | st.booleans() | st.integers(-5, 900) | st.floats() | st.text(max_size=3),
    ),
    max_size=12,
)


@given(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    st.integers(1, 3600),
    STEPS,
)
def test_no_poll_is_too_early_or_too_late(stated: Any, lifetime: int, steps: Any) -> None:
    """For any interval, lifetime and sequence of outcomes."""
    clock = 0.0
    polls: list[float] = []
    earliest: list[float] = []
    interval = polling_interval(stated)
    assert interval >= 1
    left = list(steps)

    def pause(wait: float) -> None:
        nonlocal clock
        assert wait >= 0
        clock += wait

    def ask() -> Token:
        nonlocal interval
        if earliest:
            assert clock >= earliest[-1] - 1e-6
        assert clock < lifetime
        polls.append(clock)
        if not left:
            return Token("at")
        code, asked, given = left.pop(0)
        error = failure_of(code, asked, given)
        if code == "slow_down":
            interval = max(interval + 5, (seconds(given) or 0))
        elif code == "authorization_pending":
            interval = max(interval, (seconds(given) or 0))
        earliest.append(clock + max(interval, retry_after(error.evidence.headers) or 0))
        raise error

    try:
        keep_polling(
            ask,
            interval=stated,
            remaining=lambda: lifetime - clock,
            expired=lambda: FlowTimeoutError("too late"),
            pause=pause,
        )
    except FlowTimeoutError:
        assert clock == pytest.approx(lifetime)
    assert polls


@pytest.mark.parametrize("field", ["verification_uri", "verification_uri_complete"])
@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        "file:///etc/passwd",
        "data:text/html,hello",
        "ftp://example.com/device",
        "example.com/device",
        "//example.com/device",
        "https:///device",
        "https://example.com@evil.example/device",
        "https://example.com\\@evil.example/device",
        "https://example.com/\x1b[2Jdevice",
        "https://example.com/\u202edevice",
        "https://example.com/a b",
        "https://[::1",
        "\thttps://example.com/device",
    ],
)
def test_rejects_a_url_that_is_not_a_web_page(field: str, address: str) -> None:
    with (
        device(started={**STARTED, field: address}) as (client, _),
        pytest.raises(
            ResponseInvalidError, match=f"The {field} in .* is not an http or https URL"
        ) as error,
    ):
        DeviceFlow(client).start()
    assert "javascript" not in str(error.value)


def test_shows_a_printable_user_code() -> None:
    started = {
        **STARTED,
        "user_code": "\x1b[8mAB\u200bCD\u202e-EF\x07\x9b31mGH\x1b[0m",
        "expires_in": 0,
    }
    with device(started=started) as (client, _):
        flow = DeviceFlow(client)
        authorization = flow.start()
        assert authorization.user_code == "ABCD-EF GH"
        with pytest.raises(FlowTimeoutError, match="The code ABCD-EF GH was not approved within"):
            flow.wait(authorization)


@pytest.mark.parametrize("act", [faults.respond(429, b""), faults.respond(503, b"")])
def test_no_poll_is_sent_before_its_interval(act: Act) -> None:
    pauses: list[float] = []
    with device(act, act, TOKEN) as (client, server):
        flow = DeviceFlow(client, pause=pauses.append)
        flow.wait(flow.start())
    assert len(server.requests) == 1 + len(pauses)


@pytest.mark.parametrize(
    ("error", "kind"),
    [("access_denied", AccessDeniedException), ("expired_token", ExpiredTokenException)],
)
def test_a_definite_error_ends_the_login(error: str, kind: type[Exception]) -> None:
    with device(faults.respond(400, {"error": error}), TOKEN) as (client, server):
        flow = DeviceFlow(client, pause=lambda seconds: None)
        with pytest.raises(kind):
            flow.wait(flow.start())
    assert len(server.requests) == 2


def test_the_login_ends_when_the_codes_expire() -> None:
    with device(PENDING, started={**STARTED, "expires_in": 0.3, "interval": 0.1}) as (client, _):
        flow = DeviceFlow(client)
        began = time.monotonic()
        with pytest.raises(FlowTimeoutError, match="ABCD-EFGH"):
            flow.wait(flow.start())
        assert time.monotonic() - began < PATIENCE


def test_cancelling_ends_the_wait() -> None:
    cancel = threading.Event()
    with device(PENDING, started={**STARTED, "interval": 300}) as (client, server):
        flow = DeviceFlow(client)
        authorization = flow.start()
        threading.Timer(0.1, cancel.set).start()
        began = time.monotonic()
        with pytest.raises(FlowCancelledError):
            flow.wait(authorization, cancel=cancel)
        assert time.monotonic() - began < PATIENCE
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("change", "attribute", "value"),
    [
        ({"verification_uri": None, "verification_url": "https://e.com/d"}, "verification_uri",
         "https://e.com/d"),
        ({"verification_uri_complete": None}, "verification_uri_complete", None),
        ({"interval": None}, "interval", 5),
        ({"interval": "7"}, "interval", 7),
        ({"interval": -1}, "interval", 5),
        ({"interval": []}, "interval", 5),
        ({"interval": 0}, "interval", 5),
        ({"interval": "0"}, "interval", 5),
        ({"interval": 0.001}, "interval", 1),
        ({"interval": True}, "interval", 5),
        ({"interval": "soon"}, "interval", 5),
        ({"expires_in": "900"}, "expires_in", 900),
        ({"expires_in": None}, "expires_in", 600),
    ],
)  # fmt: skip
def test_accepts_deviations_of_providers(change: Any, attribute: str, value: object) -> None:
    started = {name: v for name, v in {**STARTED, **change}.items() if v is not None}
    with device(started=started) as (client, _):
        assert getattr(DeviceFlow(client).start(), attribute) == value


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("device_code", None),
        ("device_code", ""),
        ("user_code", 7),
        ("verification_uri", []),
        ("expires_in", "soon"),
        ("expires_in", -1),
        ("expires_in", True),
        ("expires_in", "inf"),
        ("expires_in", 10**400),
    ],
)
def test_names_a_missing_or_invalid_field_of_the_response(field: str, value: Any) -> None:
    with (
        device(started={**STARTED, field: value}) as (client, _),
        pytest.raises(ResponseInvalidError, match=field) as caught,
    ):
        DeviceFlow(client).start()
    assert STARTED["device_code"] not in str(caught.value)


@pytest.mark.parametrize("act", PASSING.values(), ids=PASSING)
def test_a_transient_failure_does_not_prevent_a_login(act: Act) -> None:
    with FaultServer(act, faults.respond(200, STARTED)) as server:
        provider = Provider(
            server.token_endpoint,
            device_authorization_endpoint=f"{server.url}/device_authorization",
        )
        with Client(provider, client_id="c", retry=RetryPolicy(base=0.001)) as client:
            assert DeviceFlow(client).start().user_code == "ABCD-EFGH"
    assert len(server.requests) == 2


def test_reports_a_permanent_captive_portal() -> None:
    with device(started=b"<html>Log in") as (client, _):
        quick = Client(client.provider, client_id="c", retry=RetryPolicy(base=0.001))
        with quick, pytest.raises(ResponseInvalidError, match="HTML"):
            DeviceFlow(quick).start()


@pytest.mark.parametrize("make", [DeviceFlow])
def test_rejects_an_invalid_scope_before_sending(make: Callable[..., object]) -> None:
    with device() as (client, server):
        with pytest.raises(RequestInvalidError, match="scope") as caught:
            make(client, scope=["secret name"])
        assert "secret name" not in repr(caught.value)
    assert server.connections == 0


def test_a_provider_without_the_endpoint_is_a_configuration_error() -> None:
    with (
        Client(Provider(token_endpoint="https://example.com/t"), client_id="c") as client,
        pytest.raises(ConfigurationError, match="device_authorization_endpoint"),
    ):
        DeviceFlow(client).start()


@dataclass
class Start:
    """A transport that always returns the same body."""

    body: bytes
    bodies: list[bytes] = field(default_factory=list)

    def send(self, request: HttpRequest, deadline: Deadline) -> HttpResponse:
        self.bodies.append(request.body)
        return HttpResponse(200, {}, self.body)

    def close(self) -> None:
        """There is nothing to close."""


def started_with(body: bytes) -> tuple[Client, Start]:
    transport = Start(body)
    provider = Provider(
        "https://example.com/token", device_authorization_endpoint="https://example.com/device"
    )
    client = Client(
        provider, client_id="1406020730", transport=transport, retry=RetryPolicy(base=0)
    )
    return client, transport


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text())


@given(
    st.binary()
    | st.dictionaries(st.sampled_from([*STARTED, "verification_url"]), VALUES).map(
        lambda change: json.dumps({**STARTED, **change}).encode()
    )
)
def test_any_response_starts_a_login_or_raises_a_grantway_error(body: bytes) -> None:
    client, _ = started_with(body)
    try:
        authorization = DeviceFlow(client).start()
    except GrantwayError:
        return
    assert authorization.device_code
    assert authorization.interval >= 0
    assert math.isfinite(authorization.remaining())


def test_a_huge_interval_can_be_cancelled() -> None:
    client, _ = started_with(
        json.dumps({**STARTED, "interval": 1e300, "expires_in": 1e300}).encode()
    )
    cancel = threading.Event()
    flow = DeviceFlow(client)
    authorization = flow.start()
    threading.Timer(0.1, cancel.set).start()
    with pytest.raises(FlowCancelledError):
        flow.wait(authorization, cancel=cancel)


def test_the_examples_of_rfc_8628() -> None:
    client, transport = started_with(
        b'{"device_code": "GmRhmhcxhwAzkoEqiMEg_DnyEysNkuNhszIySk9eS", "user_code": "WDJB-MJHT",'
        b'"verification_uri": "https://example.com/device", "verification_uri_complete":'
        b'"https://example.com/device?user_code=WDJB-MJHT", "expires_in": 1800, "interval": 5}'
    )
    authorization = DeviceFlow(client).start()
    assert transport.bodies == [b"client_id=1406020730"]
    assert (authorization.user_code, authorization.interval) == ("WDJB-MJHT", 5)
    with pytest.raises(GrantwayError):
        client.create_token(
            grant_type="urn:ietf:params:oauth:grant-type:device_code",
            device_code=authorization.device_code,
        )
    assert transport.bodies[1] == (
        b"grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code"
        b"&device_code=GmRhmhcxhwAzkoEqiMEg_DnyEysNkuNhszIySk9eS"
        b"&client_id=1406020730"
    )
