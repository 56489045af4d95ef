"""Tests of spans and metrics of real calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import grantway
from grantway.testing import ObserverTests
from grantway_plugins.issuer import IssuerServer
from grantway_plugins.telemetry import Telemetry
from tests import faults
from tests.faults import FaultServer

SECRET = "rt-that-must-not-show"


class Seen:
    """Recorded spans and metrics."""

    def __init__(self) -> None:
        self.spans = InMemorySpanExporter()
        self.reader = InMemoryMetricReader()
        self.tracer_provider = TracerProvider()
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self.spans))
        self.meter_provider = MeterProvider([self.reader])
        self.plugin = Telemetry(self.tracer_provider, self.meter_provider)

    def metric(self, name: str) -> list[tuple[dict[str, object], object]]:
        data = self.reader.get_metrics_data()
        assert data is not None
        return [
            (dict(point.attributes or {}), getattr(point, "value", None) or point)
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]


@pytest.fixture
def seen() -> Iterator[Seen]:
    seen = Seen()
    yield seen
    seen.tracer_provider.shutdown()
    seen.meter_provider.shutdown()


class TestTelemetry(ObserverTests):
    """The tests for every observer."""

    @pytest.fixture
    def observer(self, seen: Seen) -> Callable[[grantway.Event], None]:
        return seen.plugin.grantway_observe


def client(url: str, seen: Seen) -> grantway.Client:
    return grantway.Client(
        grantway.Provider(token_endpoint=f"{url}/token"),
        client_id="nobody",
        client_secret="no secret",
        registry=grantway.build_registry({"telemetry": seen.plugin}),
        retry=grantway.RetryPolicy(attempts=2, base=0.01),
    )


def test_a_failed_call_is_one_span_with_its_outcome(seen: Seen) -> None:
    with IssuerServer() as server, client(server.url, seen) as asking:
        with pytest.raises(grantway.InvalidClientException):
            asking.create_token(grant_type="refresh_token", refresh_token=SECRET)
        host = asking.provider.host
    (span,) = seen.spans.get_finished_spans()
    assert span.name == "grantway token"
    assert dict(span.attributes or {}) == {
        "server.address": host,
        "grantway.step": "token",
        "grantway.grant_type": "refresh_token",
        "grantway.outcome": "invalid_client",
        "grantway.attempts": 1,
        "http.response.status_code": 401,
    }
    assert span.status.status_code is trace.StatusCode.ERROR
    ((named, count),) = seen.metric("grantway.calls")
    assert (named["grantway.outcome"], count) == ("invalid_client", 1)
    assert seen.metric("grantway.call.duration")
    assert SECRET not in span.to_json()


def test_a_retry_is_an_event_and_a_count(seen: Seen) -> None:
    with IssuerServer() as server:
        address = server.url
    # The issuer has stopped, so its port refuses connections.
    with client(address, seen) as asking, pytest.raises(grantway.ConnectionFailedError):
        asking.create_token(grant_type="refresh_token", refresh_token=SECRET)
    (span,) = seen.spans.get_finished_spans()
    (event,) = span.events
    assert event.name == "retry"
    assert dict(event.attributes or {})["grantway.reason"] == "connection_failed"
    ((named, count),) = seen.metric("grantway.retries")
    assert (named["grantway.reason"], count) == ("connection_failed", 1)


def test_the_span_is_a_child_of_the_callers_span(seen: Seen) -> None:
    tracer = seen.tracer_provider.get_tracer("test")
    with (
        IssuerServer() as server,
        client(server.url, seen) as asking,
        tracer.start_as_current_span("caller") as caller,
    ):
        with pytest.raises(grantway.InvalidClientException):
            asking.create_token(grant_type="refresh_token", refresh_token=SECRET)
        assert trace.get_current_span() is caller
    inner = seen.spans.get_finished_spans()[0]
    assert inner.parent is not None
    assert inner.parent.span_id == caller.get_span_context().span_id


def test_spans_of_concurrent_tasks_are_children_of_their_callers(seen: Seen) -> None:
    tracer = seen.tracer_provider.get_tracer("test")

    async def call(asking: grantway.Client) -> tuple[int, int]:
        with tracer.start_as_current_span("caller") as caller:
            await asking.create_token_async(grant_type="refresh_token", refresh_token=SECRET)
            assert trace.get_current_span() is caller
        return caller.get_span_context().span_id, caller.get_span_context().trace_id

    async def main() -> list[tuple[int, int]]:
        return await asyncio.gather(*(call(asking) for _ in range(3)))

    busy = faults.respond(503, b"")
    with FaultServer(busy, faults.respond()) as server, client(server.url, seen) as asking:
        callers = asyncio.run(main())
    spans = [each for each in seen.spans.get_finished_spans() if each.name == "grantway token"]
    parents = [(each.parent.span_id, each.parent.trace_id) for each in spans if each.parent]
    assert sorted(parents) == sorted(callers)
    assert len(set(callers)) == 3
