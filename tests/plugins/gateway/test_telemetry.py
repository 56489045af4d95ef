"""Spans of the gateway's calls are children of the caller's request span."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import grantway
from grantway_plugins.gateway import Broker, TokenEndpoint
from grantway_plugins.gateway._protection import BreakerRules, Protection
from grantway_plugins.telemetry import Telemetry
from tests import faults
from tests.faults import FaultServer
from tests.plugins.gateway.concurrency import fail_requests, make_client
from tests.plugins.gateway.conftest import FORM

BODY = b"grant_type=client_credentials&client_id=shop"


class RecordedSpans:
    """Records finished spans."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("gateway")
        self.registry = grantway.build_registry({"telemetry": Telemetry(self.provider)})

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.exporter.get_finished_spans() if span.name == name]

    def call_is_under_the_request(self) -> bool:
        (request,), (call,) = self.named("request"), self.named("grantway token")
        assert request.context is not None
        return call.parent is not None and call.parent.span_id == request.context.span_id


@pytest.fixture
def traces() -> Iterator[RecordedSpans]:
    traces = RecordedSpans()
    yield traces
    traces.provider.shutdown()


def test_a_refresh_in_a_thread(traces: RecordedSpans) -> None:
    with (
        FaultServer(faults.respond()) as server,
        make_client(server, registry=traces.registry) as client,
        traces.tracer.start_as_current_span("request"),
    ):
        client.credential(grant_type="client_credentials").token()
    assert traces.call_is_under_the_request()


def test_token_request_from_an_event_loop_is_a_child_span(traces: RecordedSpans) -> None:
    async def request(client: grantway.Client) -> None:
        with traces.tracer.start_as_current_span("request"):
            await client.credential(grant_type="client_credentials").token_async()

    with (
        FaultServer(faults.respond()) as server,
        make_client(server, registry=traces.registry) as client,
    ):
        asyncio.run(request(client))
    assert traces.call_is_under_the_request()


def test_a_brokered_call_is_traced_under_its_request(traces: RecordedSpans) -> None:
    with (
        FaultServer(faults.respond()) as server,
        make_client(server, registry=traces.registry) as client,
        traces.tracer.start_as_current_span("request"),
    ):
        endpoint = TokenEndpoint(Broker(client, clients=lambda *_: True))
        headers = {"Content-Type": FORM, "Content-Length": str(len(BODY))}
        assert endpoint.respond("POST", headers, io.BytesIO(BODY)).status == 200
    assert traces.call_is_under_the_request()


def test_a_brokered_call_in_a_worker_thread_is_traced_under_its_request(
    traces: RecordedSpans,
) -> None:
    async def request(endpoint: TokenEndpoint) -> list[int]:
        statuses: list[int] = []

        async def receive() -> dict[str, object]:
            return {"type": "http.request", "body": BODY, "more_body": False}

        async def send(message: dict[str, object]) -> None:
            if message["type"] == "http.response.start":
                statuses.append(int(str(message["status"])))

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/token",
            "headers": [(b"content-type", FORM.encode())],
        }
        with traces.tracer.start_as_current_span("request"):
            await endpoint.asgi(scope, receive, send)  # type: ignore[arg-type]
        return statuses

    with (
        FaultServer(faults.respond()) as server,
        make_client(server, registry=traces.registry) as client,
    ):
        endpoint = TokenEndpoint(Broker(client, clients=lambda *_: True))
        assert asyncio.run(request(endpoint)) == [200]
    assert traces.call_is_under_the_request()


def test_records_a_call_rejected_by_a_protection(traces: RecordedSpans) -> None:
    guard = Protection("login", breaker=BreakerRules(failures=1))
    with (
        FaultServer(faults.respond(500, b"")) as server,
        make_client(server, guard, registry=traces.registry) as client,
    ):
        fail_requests(client, 1)
        traces.exporter.clear()
        with (
            traces.tracer.start_as_current_span("request"),
            pytest.raises(grantway.ProviderPausedError),
        ):
            client.credential(grant_type="client_credentials").token()
    assert traces.call_is_under_the_request()
    (call,) = traces.named("grantway token")
    attributes = dict(call.attributes or {})
    assert (attributes["grantway.outcome"], attributes["grantway.attempts"]) == (
        "provider_paused",
        0,
    )
