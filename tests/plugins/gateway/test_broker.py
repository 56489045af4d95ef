"""Responses of a broker when the provider rejects a request, fails or does not respond."""

from __future__ import annotations

import queue
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
import requests

import grantway
from grantway.testing import faults
from grantway_plugins.gateway import Broker, TokenEndpoint
from grantway_plugins.secrets import FileSecret
from grantway_plugins.stores import generate_key
from tests.faults import free_port
from tests.plugins.gateway.conftest import (
    CLIENTS,
    COUPON,
    COUPON_TYPE,
    OURS,
    SHOP,
    THEIRS,
    Brokered,
    Serve,
    bound,
)
from tests.waiting import PATIENCE, until

REFRESH = {"grant_type": "refresh_token", "refresh_token": "rt-very-secret", **SHOP}
AWS = {
    "grantType": "refresh_token",
    "refreshToken": "rt-very-secret",
    "clientId": "shop",
    "clientSecret": THEIRS,
}


def oauth_error(error: str, status: int = 400, **more: str) -> Any:
    return faults.respond(status, {"error": error, **more})


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ("invalid_request", 400),
        ("invalid_grant", 400),
        ("unauthorized_client", 400),
        ("unsupported_grant_type", 400),
        ("invalid_scope", 400),
        ("authorization_pending", 400),
        ("slow_down", 400),
        ("access_denied", 400),
        ("expired_token", 400),
        ("invalid_target", 400),
        ("a_code_of_its_own", 400),
    ],
)
def test_passes_on_the_providers_error(
    error: str, status: int, brokered: Brokered, serve: Serve, http: requests.Session
) -> None:
    backend, _ = brokered(oauth_error(error, error_description='With "quotes"\\\né.'))
    url = serve("asgi", TokenEndpoint(backend))
    response = http.post(url, data=bound(backend, REFRESH))
    assert (response.status_code, response.json()["error"]) == (status, error)
    # RFC 6749 section 5.2: printable ASCII without quotes and backslashes.
    assert response.json()["error_description"] == "With 'quotes'/??."

    response = http.post(url, json=bound(backend, AWS))
    assert (response.status_code, response.json()["error"]) == (status, error)
    kind = next((each for each in grantway._exceptions.TOKEN_ERRORS if each.wire == error), None)
    name = kind.__name__ if kind else "InvalidRequestException"
    assert response.headers["x-amzn-errortype"] == name


@pytest.mark.parametrize("error", ["invalid_client", "use_dpop_nonce", "invalid_dpop_proof"])
def test_responds_with_502_if_the_provider_rejects_the_gateways_credentials(
    error: str,
    brokered: Brokered,
    serve: Serve,
    http: requests.Session,
    caplog: pytest.LogCaptureFixture,
) -> None:
    backend, _ = brokered(oauth_error(error, 401, error_description=f"bad secret {OURS}"))
    url = serve("asgi", TokenEndpoint(backend))
    response = http.post(url, data=bound(backend, REFRESH))
    assert (response.status_code, response.json()["error"]) == (502, "server_error")
    assert "gateway's credentials" in response.json()["error_description"]
    assert "www-authenticate" not in response.headers
    assert OURS not in response.text + caplog.text


def test_responds_with_503_if_the_gateway_cannot_read_its_own_secret(
    brokered: Brokered, serve: Serve, http: requests.Session
) -> None:
    backend, server = brokered(
        faults.respond(), client_secret=FileSecret("/nowhere/secret"), keys=generate_key()
    )
    url = serve("asgi", TokenEndpoint(backend))
    response = http.post(url, data=bound(backend, REFRESH))
    assert (response.status_code, response.json()["error"]) == (503, "temporarily_unavailable")
    assert response.json()["error_description"] == (
        "The gateway cannot read its own secret; the same request may be sent again"
    )
    assert server.requests == []


def test_removes_secrets_from_error_descriptions(
    brokered: Brokered, serve: Serve, http: requests.Session, caplog: pytest.LogCaptureFixture
) -> None:
    words = f"{OURS} and rt-very-secret"
    backend, _ = brokered(oauth_error("invalid_grant", error_description=words))
    url = serve("asgi", TokenEndpoint(backend))
    for response in (
        http.post(url, data=bound(backend, REFRESH)),
        http.post(url, json=bound(backend, AWS)),
    ):
        assert response.json()["error_description"] == "*** and ***"
    assert "secret" not in caplog.text


NOT_NOW = "temporarily_unavailable"
UNTRIED = "the same request may be sent again"
UNLIKE = "did not respond like a token endpoint"
UNKNOWN = "keep the refresh token and send it once more"
HTML = {"Content-Type": "text/html"}


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (faults.respond(503, b"", {"Retry-After": "7"}), (503, NOT_NOW, "7", UNTRIED)),
        (faults.respond(429, b"", {"Retry-After": "0"}), (503, NOT_NOW, "0", UNTRIED)),
        (faults.respond(503, b""), (503, NOT_NOW, None, UNTRIED)),
        (oauth_error("temporarily_unavailable"), (503, NOT_NOW, None, UNTRIED)),
        (oauth_error("server_error", 500), (502, "server_error", None, UNKNOWN)),
        (faults.respond(500, b"<html>oops</html>", HTML), (502, "server_error", None, UNKNOWN)),
        (faults.respond(200, b"<html>login</html>", HTML), (502, "server_error", None, UNKNOWN)),
        (
            faults.respond(404, b"<html>", HTML),
            (502, "server_error", None, UNLIKE),
        ),
        (
            faults.respond(302, b"", {"Location": "/x"}),
            (502, "server_error", None, UNLIKE),
        ),
        (faults.reset_after_request, (504, "server_error", None, UNKNOWN)),
        (faults.close_after_request, (504, "server_error", None, UNKNOWN)),
        (faults.half(), (502, "server_error", None, UNKNOWN)),
        (faults.endless, (502, "server_error", None, UNKNOWN)),
    ],
)
def test_responses_when_the_provider_fails(
    act: Any,
    expected: tuple[int, str, str | None, str],
    brokered: Brokered,
    serve: Serve,
    http: requests.Session,
) -> None:
    status, error, retry_after, says = expected
    backend, _ = brokered(act)
    url = serve("asgi", TokenEndpoint(backend))
    response = http.post(url, data=bound(backend, REFRESH))
    assert (response.status_code, response.json()["error"]) == (status, error), response.text
    assert response.headers.get("retry-after") == retry_after
    assert says in response.json()["error_description"]
    assert "oops" not in response.text

    response = http.post(url, json=bound(backend, AWS))
    assert (response.status_code, response.json()["error"]) == (status, "server_error")
    assert response.headers["x-amzn-errortype"] == "InternalServerException"
    assert response.headers.get("retry-after") == retry_after


def test_responds_in_time_if_the_provider_does_not(
    brokered: Brokered, serve: Serve, http: requests.Session
) -> None:
    backend, _ = brokered(faults.stall, timeout=0.3)
    for framework in ("asgi", "wsgi"):
        response = http.post(serve(framework, TokenEndpoint(backend)), data=bound(backend, REFRESH))
        assert (response.status_code, response.json()["error"]) == (504, "server_error")
        assert UNKNOWN in response.json()["error_description"]


def test_responds_with_503_if_the_provider_is_unreachable(
    grantway_register: Any, serve: Serve, http: requests.Session
) -> None:
    nowhere = grantway.Provider(token_endpoint=f"http://127.0.0.1:{free_port()}/token")
    retry = grantway.RetryPolicy(attempts=2, base=0.01)
    with grantway.Client(nowhere, client_id="gateway", client_secret=OURS, retry=retry) as client:
        backend = Broker(client, clients=CLIENTS)
        url = serve("asgi", TokenEndpoint(backend))
        response = http.post(url, data=bound(backend, REFRESH))
    assert (response.status_code, response.json()["error"]) == (503, NOT_NOW)
    assert "nothing was sent" in response.json()["error_description"]


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"grant_type": "client_credentials"}, "the same request may be sent again"),
        ({"grant_type": COUPON_TYPE, "coupon": "c"}, "do not send the same request again"),
        (
            {"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": "d"},
            "poll again after the interval",
        ),
    ],
)
def test_the_advice_to_retry_depends_on_the_grant(
    params: dict[str, str],
    says: str,
    brokered: Brokered,
    serve: Serve,
    http: requests.Session,
) -> None:
    grantway.register(COUPON)
    backend, server = brokered(faults.reset_after_request)
    response = http.post(serve("asgi", TokenEndpoint(backend)), data={**params, **SHOP})
    assert (response.status_code, len(server.requests)) == (504, 1)
    assert says in response.json()["error_description"]


def test_the_advice_to_retry_states_the_replay_window(
    brokered: Brokered, serve: Serve, http: requests.Session
) -> None:
    dialect = grantway.Dialect(name="windowed", replay_window=30.0)
    backend, _ = brokered(faults.reset_after_request, provider={"dialect": dialect})
    response = http.post(serve("asgi", TokenEndpoint(backend)), data=bound(backend, REFRESH))
    assert "send it once more within 30 seconds" in response.json()["error_description"]


def test_names_invalid_parameters_as_the_caller_spelt_them(
    brokered: Brokered, serve: Serve, http: requests.Session
) -> None:
    backend, server = brokered(faults.respond())
    url = serve("asgi", TokenEndpoint(backend))
    data = {"grant_type": "authorization_code", "code_verifier": "short", **SHOP}
    response = http.post(url, data=data)
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")
    assert "code is required" in response.json()["error_description"]
    assert "code_verifier" in response.json()["error_description"]
    members = {"grantType": "authorization_code", "codeVerifier": "short"}
    response = http.post(url, json={**members, "clientId": "shop", "clientSecret": THEIRS})
    assert "codeVerifier" in response.json()["message"]
    assert not server.requests


def test_responds_with_500_if_a_middleware_raises(
    grantway_register: Any,
    brokered: Brokered,
    serve: Serve,
    http: requests.Session,
    caplog: pytest.LogCaptureFixture,
) -> None:
    raised: list[Exception] = [grantway.GrantwayError("hunter2"), RuntimeError("hunter2")]

    class Plugin:
        @grantway.hookimpl
        def grantway_register_middleware(self) -> list[Any]:
            def middleware(exchange: Any) -> Any:
                yield from ()
                raise raised.pop()

            return [middleware]

    grantway_register(Plugin())
    backend, _ = brokered(faults.respond())
    url = serve("asgi", TokenEndpoint(backend))
    for _ in range(2):
        response = http.post(url, data=bound(backend, REFRESH))
        assert (response.status_code, response.json()["error"]) == (500, "server_error")
        assert "hunter2" not in response.text + caplog.text


class Gate:
    """A provider that responds after a signal, and counts waiting requests."""

    def __init__(self) -> None:
        self.open, self.arrived = threading.Event(), threading.Semaphore(0)

    def __call__(self, stage: faults.Stage) -> bool:
        if stage.read_request() is None:
            return False
        self.arrived.release()
        self.open.wait(PATIENCE)
        stage.send(faults.message(200, b'{"access_token": "at"}'))
        return True


def test_rejects_requests_at_once_if_the_queue_is_full(brokered: Brokered, serve: Serve) -> None:
    gate = Gate()
    backend, server = brokered(gate, threads=2, waiting=1)
    url = serve("asgi", TokenEndpoint(backend))
    responses: queue.SimpleQueue[requests.Response] = queue.SimpleQueue()

    def ask() -> None:
        responses.put(requests.post(url, data=bound(backend, REFRESH), timeout=PATIENCE))

    with ThreadPoolExecutor(8) as callers, ExitStack() as ending:
        ending.callback(gate.open.set)  # releases the threads if the test fails
        for _ in range(2):
            callers.submit(ask)
        for _ in range(2):
            assert gate.arrived.acquire(timeout=PATIENCE)
        # Two requests are running. Of six more, one waits and five are rejected.
        for _ in range(6):
            callers.submit(ask)
        for _ in range(5):
            turned_away = responses.get(timeout=PATIENCE)
            assert turned_away.status_code == 503
            assert turned_away.json()["error"] == NOT_NOW
            assert turned_away.headers["retry-after"] == "1"
        assert requests.get(url, timeout=PATIENCE).status_code == 405, (
            "the event loop is not blocked"
        )
        assert len(server.requests) == 2
        gate.open.set()
        assert [responses.get(timeout=PATIENCE).status_code for _ in range(3)] == [200, 200, 200]
    assert len(server.requests) == 3


def test_the_timeout_includes_the_wait_for_a_thread(
    grantway_register: Any, brokered: Brokered, serve: Serve
) -> None:
    received, goes_on = threading.Event(), threading.Event()

    class Plugin:
        @grantway.hookimpl
        def grantway_register_middleware(self) -> list[Any]:
            def middleware(exchange: Any) -> Any:
                response = yield exchange
                received.set()
                assert goes_on.wait(PATIENCE)
                return response

            return [middleware]

    grantway_register(Plugin())
    seconds = 2.0
    backend, server = brokered(faults.respond(), threads=1, waiting=1, timeout=seconds)
    url = serve("asgi", TokenEndpoint(backend))
    form = bound(backend, REFRESH)
    with ThreadPoolExecutor(2) as callers:
        try:
            first = callers.submit(requests.post, url, data=form, timeout=PATIENCE)
            assert received.wait(PATIENCE)
            second = callers.submit(requests.post, url, data=form, timeout=PATIENCE)
            until(lambda: backend._workers._calls == 2)
            threading.Event().wait(seconds)  # the whole time limit of the second request
        finally:
            goes_on.set()
        assert first.result(PATIENCE).status_code == 200
        assert second.result(PATIENCE).status_code == 503
    assert len(server.requests) == 1
