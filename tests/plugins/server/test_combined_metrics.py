"""Metrics of several processes are added up, and never decrease."""

from __future__ import annotations

import json

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from grantway_plugins.server._metrics.combined import CombinedMetrics, snapshot


class Process:
    """The metrics of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("requests", "Requests", ["status"], registry=self.registry)
        self.seconds = Histogram("seconds", "Durations", buckets=(1.0,), registry=self.registry)
        self.open = Gauge("open", "Open", registry=self.registry)
        self.state = Gauge("state", "State", registry=self.registry)

    def sent(self) -> list[object]:
        found: list[object] = json.loads(json.dumps(snapshot(self.registry)))
        return found


def values(combined: CombinedMetrics) -> dict[str, float]:
    return {
        f"{sample.name}{''.join(sample.labels.values())}": sample.value
        for metric in combined.collect()
        for sample in metric.samples
    }


def update(combined: CombinedMetrics, *processes: Process) -> dict[str, float]:
    for position, each in enumerate(processes):
        combined.update(position, each.sent())  # type: ignore[arg-type]
    return values(combined)


def test_adds_counters_and_histograms_and_combines_gauges() -> None:
    first, second, combined = Process(), Process(), CombinedMetrics({"state": max})
    first.requests.labels("200").inc(2)
    second.requests.labels("200").inc(3)
    second.requests.labels("503").inc()
    for each, seconds in ((first, 0.5), (second, 2.0)):
        each.seconds.observe(seconds)
        each.open.set(4)
        each.state.set(seconds)
    found = update(combined, first, second)
    assert found["requests_total200"] == 5
    assert found["requests_total503"] == 1
    assert (found["seconds_bucket1.0"], found["seconds_bucket+Inf"]) == (1, 2)
    assert (found["seconds_count"], found["seconds_sum"]) == (2, 2.5)
    assert (found["open"], found["state"]) == (8, 2.0)
    created = next(
        sample.value
        for metric in first.registry.collect()
        for sample in metric.samples
        if sample.name == "requests_created"
    )
    assert found["requests_created200"] == created  # that of the older process


def test_keeps_the_counters_of_ended_processes_and_forgets_their_gauges() -> None:
    first, second, combined = Process(), Process(), CombinedMetrics({})
    for each in (first, second):
        each.requests.labels("200").inc(5)
        each.seconds.observe(0.5)
        each.open.set(1)
    update(combined, first, second)
    for restart in range(1, 4):
        combined.end(0)
        found = values(combined)
        assert found["requests_total200"] == 5 * restart + 5
        assert found["seconds_count"] == restart + 1
        assert found["open"] == 1
        successor = Process()
        successor.requests.labels("200").inc(5)
        successor.seconds.observe(0.5)
        found = update(combined, successor, second)
        assert found["requests_total200"] == 5 * restart + 10
        assert found["seconds_count"] == restart + 2


def test_a_process_that_never_sent_its_metrics_may_end() -> None:
    combined = CombinedMetrics({})
    combined.end(0)
    assert values(combined) == {}
