"""Blocking and asynchronous calls obey the same rules."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import weakref
from concurrent.futures import Future
from typing import Any

import pytest

import grantway
from grantway import (
    Client,
    Grant,
    GrantSchema,
    HttpTransport,
    InvalidGrantException,
    OutcomeUnknownError,
    PluginError,
    Provider,
    Replay,
    RequestInvalidError,
    RetryPolicy,
    Text,
    Token,
    Wait,
)
from tests import faults
from tests.faults import Act, FaultServer
from tests.waiting import PATIENCE

BUSY = faults.respond(503, b"")
LOST = faults.close_after_request
TOKEN = faults.respond()


class CouponSchema(GrantSchema):
    """A schema with one field."""

    coupon = Text(required=True, example='"SPRING"')


GRANTS = [Grant(each.value, CouponSchema(), replay=each) for each in Replay]


class OnlyBlocking:
    """A transport without ``send_async``."""

    def __init__(self) -> None:
        self._transport = HttpTransport()
        self.send = self._transport.send
        self.close = self._transport.close


class Calls:
    """Calls of one client, blocking or asynchronous."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def client(self, server: FaultServer, **options: Any) -> Client:
        """Return a client of the server."""
        endpoint = server.token_endpoint
        return Client(
            Provider(endpoint, device_authorization_endpoint=endpoint),
            client_id="c",
            grants=GRANTS,
            retry=RetryPolicy(base=0.001),
            transport=OnlyBlocking() if self.kind == "async in a thread" else None,
            **options,
        )

    def token(self, client: Client, replay: Replay = Replay.NEVER, **options: Any) -> Token:
        """Request a token."""
        arguments = {"grant_type": replay.value, "coupon": "SPRING", **options}
        if self.kind == "blocking":
            return client.create_token(**arguments)
        return asyncio.run(client.create_token_async(**arguments))

    def call(self, client: Client, step: str, **options: Any) -> dict[str, Any]:
        """Call another endpoint."""
        if self.kind == "blocking":
            return client.call(step, **options)
        return asyncio.run(client.call_async(step, **options))


@pytest.fixture(params=["blocking", "async", "async in a thread"])
def calls(request: pytest.FixtureRequest) -> Calls:
    return Calls(request.param)


def test_returns_a_token(calls: Calls) -> None:
    with FaultServer(TOKEN) as server, calls.client(server) as client:
        assert calls.token(client).access_token == "at-1"
        assert server.requests[0].form["coupon"] == ["SPRING"]


def test_calls_another_endpoint(calls: Calls) -> None:
    answer = faults.respond(200, {"device_code": "d-1"})
    with FaultServer(answer) as server, calls.client(server) as client:
        assert calls.call(client, "device_authorization", scope=["a"])["device_code"] == "d-1"
        assert server.requests[0].form["scope"] == ["a"]


def test_checks_the_arguments_before_anything_is_sent(calls: Calls) -> None:
    with FaultServer(TOKEN) as server, calls.client(server) as client:
        with pytest.raises(RequestInvalidError, match="coupon"):
            calls.token(client, coupon=7)
        with pytest.raises(grantway.UnknownGrantTypeError):
            calls.token(client, grant_type="unknown")
        with pytest.raises(grantway.ConfigurationError, match="timeout"):
            calls.token(client, timeout=-1)
        with pytest.raises(grantway.ConfigurationError, match="attempts"):
            calls.token(client, attempts=0)
        with pytest.raises(grantway.ConfigurationError, match="timeout"):
            calls.call(client, "device_authorization", timeout="1")
        assert not server.requests


def test_maps_errors_of_the_provider(calls: Calls) -> None:
    answer = faults.respond(400, {"error": "invalid_grant"})
    with FaultServer(answer) as server, calls.client(server) as client:
        with pytest.raises(InvalidGrantException) as raised:
            calls.token(client)
        assert raised.value.evidence.attempts == 1


@pytest.mark.parametrize(
    ("script", "replay", "sends"),
    [
        ([BUSY, TOKEN], Replay.NEVER, 2),
        ([LOST, TOKEN], Replay.SAFE, 2),
        ([LOST, TOKEN], Replay.NEVER, 1),
        ([LOST, LOST, LOST, TOKEN], Replay.SAFE, 3),
    ],
    ids=["refused", "lost and safe", "lost and never", "exhausted"],
)
def test_retries_by_outcome_and_replay_class(
    calls: Calls, script: list[Act], replay: Replay, sends: int
) -> None:
    with FaultServer(*script) as server, calls.client(server) as client:
        if script[sends - 1] is TOKEN:
            assert calls.token(client, replay).access_token == "at-1"
        else:
            with pytest.raises(OutcomeUnknownError):
                calls.token(client, replay)
        assert len(server.requests) == sends


def test_does_not_wait_beyond_the_deadline(calls: Calls) -> None:
    busy = faults.respond(503, b"", {"Retry-After": "20"})
    with FaultServer(busy) as server, calls.client(server) as client:
        with pytest.raises(grantway.ProviderUnavailableError):
            calls.token(client, timeout=2)
        assert len(server.requests) == 1


def test_middleware_sees_responses_and_errors(calls: Calls) -> None:
    seen: list[str] = []

    def middleware(exchange: Any) -> Any:
        try:
            response = yield exchange
        except InvalidGrantException as error:
            seen.append(error.code)
            raise
        seen.append(f"{response.token.access_token} after {response.attempts}")
        return response

    script = BUSY, TOKEN, faults.respond(400, {"error": "invalid_grant"})
    with (
        FaultServer(*script) as server,
        calls.client(server, middleware=[middleware, middleware]) as client,
    ):
        calls.token(client)
        with pytest.raises(InvalidGrantException):
            calls.token(client)
    assert seen == ["at-1 after 2"] * 2 + ["invalid_grant"] * 2


def test_middleware_may_wait(calls: Calls) -> None:
    done: Future[None] = Future()

    def middleware(exchange: Any) -> Any:
        assert (yield Wait(0.0)) is False
        threading.Timer(0.005, done.set_result, [None]).start()
        assert (yield Wait(PATIENCE, until=done)) is False
        assert done.done()
        assert (yield Wait(0.0, until=Future())) is False
        return (yield exchange)

    with FaultServer(TOKEN) as server, calls.client(server, middleware=[middleware]) as client:
        assert calls.token(client, timeout=PATIENCE).access_token == "at-1"


@pytest.mark.parametrize("seconds", [-1, "1", None, float("nan")])
def test_rejects_a_wait_of_other_than_seconds(seconds: Any) -> None:
    with pytest.raises(grantway.ConfigurationError, match=r"^Wait\.seconds: "):
        Wait(seconds)


def test_an_error_after_the_token_carries_the_token(calls: Calls) -> None:
    def middleware(exchange: Any) -> Any:
        yield exchange
        raise KeyError("tenant")

    with (
        FaultServer(TOKEN) as server,
        calls.client(server, middleware=[middleware]) as client,
        pytest.raises(PluginError, match="raised KeyError") as raised,
    ):
        calls.token(client)
    assert raised.value.token is not None
    assert raised.value.token.access_token == "at-1"


def test_does_not_repeat_an_unsafe_request(calls: Calls) -> None:
    def twice(exchange: Any) -> Any:
        yield exchange
        return (yield exchange)

    with FaultServer(TOKEN) as server, calls.client(server, middleware=[twice]) as client:
        with pytest.raises(PluginError, match="a second send is not safe"):
            calls.token(client)
        assert len(server.requests) == 1


def test_a_rejected_call_leaves_no_references(calls: Calls) -> None:
    """An error must not keep the exchange, which holds secrets, until garbage collection."""
    kept: list[weakref.ref[Any]] = []

    class Kept:
        """Stands for the secrets of a call."""

    def middleware(exchange: Any) -> Any:
        secret = Kept()
        kept.append(weakref.ref(secret))
        return (yield exchange)

    async def within_a_loop(client: Client) -> None:
        with contextlib.suppress(InvalidGrantException):
            await client.create_token_async(grant_type=Replay.NEVER.value, coupon="SPRING")
        assert kept[0]() is None

    refused = faults.respond(400, {"error": "invalid_grant"})
    with FaultServer(refused) as server, calls.client(server, middleware=[middleware]) as client:
        gc.disable()
        try:
            if calls.kind == "blocking":
                with contextlib.suppress(InvalidGrantException):
                    calls.token(client)
                assert kept[0]() is None
            else:
                asyncio.run(within_a_loop(client))
        finally:
            gc.enable()


def test_reports_the_same_events(calls: Calls) -> None:
    events: list[tuple[str, str]] = []

    class Watch:
        @grantway.hookimpl
        def grantway_observe(self, event: grantway.Event) -> None:
            events.append((event.kind, event.outcome))

    registry = grantway.build_registry({"watch": Watch()}, only=["grantway"])
    with FaultServer(BUSY, TOKEN) as server, calls.client(server, registry=registry) as client:
        calls.token(client)
    assert events == [
        ("start", ""),
        ("attempt", "status 503"),
        ("retry", "status 503"),
        ("attempt", "final"),
        ("end", "ok"),
    ]
