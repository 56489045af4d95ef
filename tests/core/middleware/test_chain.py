"""The order of middleware."""

from __future__ import annotations

from typing import Any

import pytest

from grantway import Client, InvalidGrantException, Provider, build_registry, hookimpl
from tests import faults
from tests.faults import FaultServer


def test_the_first_middleware_is_outermost() -> None:
    seen: list[str] = []

    def layer(name: str) -> Any:
        def run(exchange: Any) -> Any:
            seen.append(f"{name} in")
            response = yield exchange
            seen.append(f"{name} out")
            return response

        return run

    with FaultServer(faults.respond()) as server:
        provider = Provider(token_endpoint=server.token_endpoint)
        layers = [layer("a"), layer("b")]
        with Client(provider, client_id="c", middleware=layers) as client:
            client.create_token(grant_type="refresh_token", refresh_token="rt-1")
    assert seen == ["a in", "b in", "b out", "a out"]


class RecordingPlugin:
    """Registers two middlewares that record calls."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def outer(self, exchange: Any) -> Any:
        try:
            response = yield exchange
        except InvalidGrantException:
            self.seen.append("outer: rejected")
            raise
        self.seen.append(f"outer: {response.token.access_token} after {response.attempts}")
        return response

    def inner(self, exchange: Any) -> Any:
        self.seen.append(f"inner: {exchange.step} {exchange.grant_type}")
        return (yield exchange)

    @hookimpl
    def grantway_register_middleware(self) -> list[Any]:
        return [self.outer, self.inner]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ([faults.respond()], "outer: at-1 after 1"),
        # The plugin's middleware wraps the retries, so it runs once per call.
        ([faults.respond(503, b""), faults.respond()], "outer: at-1 after 2"),
        # It also wraps the error mapping, so it sees the exception that the caller sees.
        ([faults.respond(400, {"error": "invalid_grant"})], "outer: rejected"),
    ],
)
def test_middleware_of_plugins_runs_around_retries_and_error_mapping(
    script: Any, expected: str
) -> None:
    recording = RecordingPlugin()
    registry = build_registry({"recording": recording})
    with FaultServer(*script) as server:
        provider = Provider(token_endpoint=server.token_endpoint)
        with Client(provider, client_id="c", registry=registry) as client:
            try:
                client.create_token(grant_type="refresh_token", refresh_token="rt-1")
            except InvalidGrantException:
                assert expected == "outer: rejected"
    assert recording.seen == ["inner: token refresh_token", expected]


def test_middleware_of_a_client_runs_inside_that_of_plugins() -> None:
    recording = RecordingPlugin()

    def own(exchange: Any) -> Any:
        recording.seen.append(f"own: {exchange.host}")
        return (yield exchange)

    registry = build_registry({"recording": recording})
    with FaultServer(faults.respond()) as server:
        provider = Provider(token_endpoint=server.token_endpoint)
        with Client(provider, client_id="c", registry=registry, middleware=[own]) as client:
            client.create_token(grant_type="refresh_token", refresh_token="rt-1")
    assert recording.seen[1:] == [f"own: {provider.host}", "outer: at-1 after 1"]
