"""Errors name middleware that breaks its contract, and no request is sent twice."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import pytest

import grantway
from grantway import (
    Client,
    Grant,
    GrantSchema,
    PluginError,
    Provider,
    Replay,
    Text,
    Token,
    hookimpl,
)
from grantway._wire.provider_response import ProviderResponse
from tests import faults
from tests.faults import FaultServer


class Coupon(GrantSchema):
    """A coupon."""

    coupon = Text(required=True, example='"SPRING"')


class Plugin:
    """Registers one middleware."""

    def __init__(self, middleware: Any) -> None:
        self.middleware = middleware

    @hookimpl
    def grantway_register_middleware(self) -> list[Any]:
        return [self.middleware]


def ask(
    server: FaultServer, brought: Any, replay: Replay, window: float = 0.0, **more: Any
) -> Token:
    registry = grantway.build_registry({"audit": Plugin(brought)}, only=["grantway"])
    dialect = grantway.Dialect("windowed", replay_window=window)
    with Client(
        Provider(server.token_endpoint, dialect=dialect),
        client_id="c",
        registry=registry,
        grants=[Grant("urn:example:coupon", Coupon(), replay=replay)],
        retry=grantway.RetryPolicy(attempts=1),
        **more,
    ) as client:
        return client.create_token(grant_type="urn:example:coupon", coupon="SPRING")


def passes(exchange: Any) -> Any:
    return (yield exchange)


def twice(exchange: Any) -> Any:
    yield exchange
    return (yield exchange)


def once_more_after_an_error(exchange: Any) -> Any:
    try:
        return (yield exchange)
    except grantway.GrantwayError:
        return (yield exchange)


def with_a_copy(exchange: Any) -> Any:
    yield exchange
    return (yield dataclasses.replace(exchange))


@pytest.mark.parametrize("middleware", [twice, with_a_copy])
@pytest.mark.parametrize("replay", [Replay.NEVER, Replay.WINDOWED])
def test_a_token_request_is_not_sent_twice(middleware: Any, replay: Replay) -> None:
    with FaultServer(faults.respond(), faults.respond()) as server:
        with pytest.raises(
            PluginError, match=r"audit of application\) yielded the exchange again"
        ) as raised:
            ask(server, middleware, replay)
        assert len(server.requests) == 1
    # The error contains the token that the provider issued.
    assert raised.value.token is not None
    assert raised.value.token.access_token == "at-1"
    assert raised.value.plugin == "audit of application"


@pytest.mark.parametrize(
    "first",
    [
        faults.respond(500, b""),
        faults.reset_after_request,
        faults.respond(400, {"error": "invalid_grant"}),
    ],
    ids=["500", "reset", "invalid_grant"],
)
def test_a_token_request_is_not_sent_twice_after_a_failure(first: Any) -> None:
    with FaultServer(first, faults.respond()) as server:
        with pytest.raises(PluginError, match=r"Replay\.NEVER"):
            ask(server, once_more_after_an_error, Replay.NEVER)
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("middleware", "replay", "window", "first"),
    [
        # A second send is safe because of the replay class or the provider's replay window.
        (twice, Replay.SAFE, 0.0, faults.respond()),
        (twice, Replay.WINDOWED, 3600.0, faults.respond()),
        # The provider reported that it did not process the request.
        (once_more_after_an_error, Replay.NEVER, 0.0, faults.respond(503, b"")),
    ],
)
def test_allows_a_safe_second_send(
    middleware: Any, replay: Replay, window: float, first: Any
) -> None:
    with FaultServer(first, faults.respond()) as server:
        ask(server, middleware, replay, window)
        assert len(server.requests) == 2


def test_the_contract_applies_to_middleware_of_the_client() -> None:
    with FaultServer(faults.respond(), faults.respond()) as server:
        with pytest.raises(PluginError, match=r"twice \(application\) yielded the exchange again"):
            ask(server, passes, Replay.NEVER, middleware=[twice])
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        (lambda response: None, "returned None"),
        (lambda response: response.token, "returned a Token"),
        (lambda response: ProviderResponse(200, {}), "returned a ProviderResponse without a token"),
    ],
    ids=["None", "Token", "ProviderResponse"],
)
def test_rejects_an_invalid_response_and_keeps_the_token(
    returned: Callable[[ProviderResponse], Any], expected: str
) -> None:
    with (
        FaultServer(faults.respond()) as server,
        pytest.raises(PluginError, match=rf"audit of application\) {expected}") as raised,
    ):
        ask(server, lambda exchange: returned((yield exchange)), Replay.NEVER)
    assert raised.value.token is not None


def test_rejects_another_object_than_the_exchange() -> None:
    with FaultServer(faults.respond()) as server:
        with pytest.raises(PluginError, match="yielded None, not the exchange"):
            ask(server, lambda exchange: (yield None), Replay.NEVER)
        assert not server.requests


async def late(exchange: Any) -> Any:
    return exchange


async def late_with_yield(exchange: Any) -> Any:
    yield exchange


def plain(exchange: Any) -> Any:
    return exchange


def nested(exchange: Any, call_next: Any) -> Any:
    return call_next(exchange)


def with_two_arguments(exchange: Any, call_next: Any) -> Any:
    yield call_next(exchange)


@pytest.mark.parametrize(
    ("middleware", "expected"),
    [
        (nested, "is not a generator function"),
        (plain, "is not a generator function"),
        (functools.partial(nested, call_next=plain), "is not a generator function"),
        (with_two_arguments, "does not take the exchange as its only argument"),
        (late, r"is asynchronous \(async def\)"),
        (late_with_yield, r"is asynchronous \(async def\)"),
        (object(), "cannot be called"),
    ],
    ids=["call_next", "plain", "partial", "two arguments", "async", "async generator", "object"],
)
def test_rejects_other_functions_at_registration(middleware: Any, expected: str) -> None:
    how = r"write it as: def \w+\(exchange\): response = yield exchange; return response"
    with pytest.raises(grantway.PluginLoadError, match=rf"audit.*{expected}.*{how}"):
        grantway.build_registry({"audit": Plugin(middleware)}, only=["grantway"], strict=True)
    with pytest.raises(grantway.ConfigurationError, match=rf"^middleware: .*{expected}.*{how}"):
        Client(Provider("https://example.com/token"), client_id="c", middleware=[middleware])


@pytest.mark.parametrize(
    ("middleware", "returned"),
    [(late, "a coroutine"), (lambda exchange: {}, "a dict")],
    ids=["coroutine", "dict"],
)
def test_rejects_a_decorated_function_that_returns_no_generator(
    middleware: Any, returned: str
) -> None:
    @functools.wraps(passes)
    def wrapped(exchange: Any) -> Any:
        return middleware(exchange)

    with FaultServer(faults.respond()) as server:
        with pytest.raises(PluginError, match=f"returned {returned} instead of a generator"):
            ask(server, wrapped, Replay.NEVER)
        assert not server.requests


async def _process_late(self: Grant, params: Any, token: Token) -> Token:
    return token


def _process_behind_a_decorator(self: Grant, params: Any, token: Token) -> Any:
    return _process_late(self, params, token)


def _process_to_none(self: Grant, params: Any, token: Token) -> None:
    return None


def _process_with_a_mistake(self: Grant, params: Any, token: Token) -> Token:
    raise KeyError("tenant")


@pytest.mark.parametrize(
    ("process_token", "expected"),
    [
        (_process_to_none, "returned None"),
        (lambda self, params, token: {"access_token": "x"}, "returned a dict"),
        (_process_behind_a_decorator, "is asynchronous"),
        (_process_with_a_mistake, "raised KeyError"),
    ],
    ids=["None", "dict", "coroutine", "raises"],
)
def test_names_the_plugin_whose_process_token_fails(process_token: Any, expected: str) -> None:
    kind = type("Judging", (Grant,), {"process_token": process_token})
    grant = kind("urn:example:coupon", Coupon())
    registry = grantway.build_registry({"coupons": grant}, only=["grantway"])
    with FaultServer(faults.respond()) as server:
        provider = Provider(server.token_endpoint)
        with (
            Client(provider, client_id="c", registry=registry) as client,
            pytest.raises(PluginError) as raised,
        ):
            client.create_token(grant_type="urn:example:coupon", coupon="SPRING")
    assert f"urn:example:coupon (plugin coupons of application) {expected}" in str(raised.value)
    assert raised.value.token is not None
    assert "at-1" not in f"{raised.value!r}{raised.value}{vars(raised.value)}"
