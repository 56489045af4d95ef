"""Spans and metrics of every call through OpenTelemetry (extra ``telemetry``).

::

    from grantway import Client, build_registry
    from grantway_plugins.telemetry import Telemetry

    registry = build_registry({"telemetry": Telemetry()})
    client = Client(provider, client_id="my-client", registry=registry)

Each call has a span, such as ``grantway token``, with an event for each delay before a retry. The
metrics are the counters ``grantway.calls`` and ``grantway.retries``, and the histogram
``grantway.call.duration`` in seconds. Attributes are the provider's host, the step, the grant and
the outcome, but no user, client or token.
"""

from __future__ import annotations

from contextvars import Token as ContextToken
from typing import TYPE_CHECKING

from opentelemetry import context, metrics, trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from grantway import __version__
from grantway._processes.copies import OneProcess
from grantway.hookspecs import hookimpl

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from grantway._types.event import Event

_NAME = "grantway"


class Telemetry(OneProcess):
    """A plugin that turns events into spans and metrics.

    Args:
        tracer_provider: Provider of the tracer for spans; by default the global one.
        meter_provider: Provider of the meter for metrics; by default the global one.
    """

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        self._tracer = trace.get_tracer(_NAME, __version__, tracer_provider)
        meter = metrics.get_meter(_NAME, __version__, meter_provider)
        self._calls = meter.create_counter("grantway.calls", "{call}", "Calls, by outcome")
        self._retries = meter.create_counter(
            "grantway.retries", "{retry}", "Delays before a retry, by reason"
        )
        self._duration = meter.create_histogram("grantway.call.duration", "s", "Duration of a call")
        # All events of a call come from one thread, and have its unique call_id.
        self._open: dict[int, tuple[Span, ContextToken[Context]]] = {}

    @hookimpl
    def grantway_observe(self, event: Event) -> None:
        """Start the span of a call, add a retry to it, or end it."""
        attributes = {
            "server.address": event.provider,
            "grantway.step": event.step,
            "grantway.grant_type": event.grant_type or "",
        }
        if event.kind == "start":
            span = self._tracer.start_span(
                f"{_NAME} {event.step}", kind=SpanKind.CLIENT, attributes=attributes
            )
            self._open[event.call_id] = (span, context.attach(trace.set_span_in_context(span)))
        elif event.kind == "retry":
            self._retries.add(1, {**attributes, "grantway.reason": event.outcome})
            opened = self._open.get(event.call_id)
            if opened is not None:
                opened[0].add_event(
                    "retry",
                    {
                        "grantway.reason": event.outcome,
                        "grantway.wait": event.wait,
                        "grantway.attempt": event.attempt,
                    },
                )
        elif event.kind == "end":
            self._end(event, {**attributes, "grantway.outcome": event.outcome})

    def _end(self, event: Event, attributes: dict[str, str]) -> None:
        self._calls.add(1, attributes)
        self._duration.record(event.milliseconds / 1000, attributes)
        opened = self._open.pop(event.call_id, None)
        if opened is None:
            return
        span, attached = opened
        context.detach(attached)
        span.set_attribute("grantway.outcome", event.outcome)
        span.set_attribute("grantway.attempts", event.attempt)
        if event.status is not None:
            span.set_attribute("http.response.status_code", event.status)
        if event.outcome != "ok":
            span.set_status(Status(StatusCode.ERROR, event.outcome))
        span.end()
