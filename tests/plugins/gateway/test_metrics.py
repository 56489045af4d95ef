"""Prometheus metrics, their bounds, and the absence of secrets."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.parser import text_string_to_metric_families

import grantway
from grantway.testing import ObserverTests
from grantway_plugins.gateway._metrics import GatewayMetrics
from grantway_plugins.gateway._protection import BreakerRules, BulkheadRules, Protection
from tests import faults
from tests.faults import FaultServer
from tests.plugins.gateway.concurrency import (
    PATIENCE,
    CallerThreads,
    Clock,
    HeldResponses,
    fail_requests,
    make_client,
    request_token,
)

ROUTED = {"route": "orders", "provider": "login"}
TOKEN_CALL = {"provider": "login", "step": "token", "grant": "client_credentials"}


@dataclass(frozen=True)
class Route:
    """A route with a name and a provider."""

    name: str = "orders"
    provider: str = "login"


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> GatewayMetrics:
    return GatewayMetrics(registry)


class TestObserver(ObserverTests):
    """The tests for every observer."""

    @pytest.fixture
    def observer(self, metrics: GatewayMetrics) -> Callable[[grantway.Event], None]:
        return metrics.grantway_observe


def named(server: FaultServer) -> GatewayMetrics:
    """Metrics that use a name for the server."""
    host = grantway.Provider(token_endpoint=server.token_endpoint).host
    return GatewayMetrics(CollectorRegistry(), names={host: "login"})


def value(metrics: GatewayMetrics, name: str, **labels: str) -> float | None:
    """Return the value of a sample."""
    page = metrics.render()[0].decode()
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                return sample.value
    return None


def observed(metrics: GatewayMetrics) -> grantway.Registry:
    return grantway.build_registry({"metrics": metrics})


def test_calls_are_counted_by_provider_grant_and_outcome() -> None:
    script = (
        faults.respond(),
        faults.respond(400, {"error": "invalid_grant"}),
        faults.respond(503, b""),
        faults.respond(),
    )
    twice = grantway.RetryPolicy(attempts=2, base=0.0)
    with FaultServer(*script) as server:
        metrics = named(server)
        with make_client(server, registry=observed(metrics), retry=twice) as client:
            request_token(client)
            fail_requests(client, 1)
            request_token(client)
    calls = "grantway_provider_calls_total"
    assert value(metrics, calls, **TOKEN_CALL, outcome="ok") == 2
    assert value(metrics, calls, **TOKEN_CALL, outcome="invalid_grant") == 1
    assert value(metrics, "grantway_provider_call_seconds_count", **TOKEN_CALL) == 3
    retries = "grantway_provider_retries_total"
    assert value(metrics, retries, provider="login", reason="status 503") == 1


def test_requests_are_counted_by_route_and_outcome(metrics: GatewayMetrics) -> None:
    route = Route()
    for _ in range(3):
        metrics.hit(route)
        metrics.injected(route, "injected")
    metrics.waited(route, 0.2)
    metrics.injected(route, "closed")
    assert value(metrics, "grantway_token_hits_total", **ROUTED) == 3
    assert value(metrics, "grantway_token_wait_seconds_count", **ROUTED) == 1
    assert value(metrics, "grantway_token_wait_seconds_sum", **ROUTED) == 0.2
    assert value(metrics, "grantway_requests_total", **ROUTED, outcome="injected") == 3
    assert value(metrics, "grantway_requests_total", **ROUTED, outcome="closed") == 1


def test_a_hit_does_not_look_up_its_series(
    metrics: GatewayMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics.hit(Route())
    metrics.waited(Route(), 0.1)
    metrics.injected(Route(), "injected")

    def labels(*_: object) -> None:
        raise AssertionError("labels() costs more than the count")

    monkeypatch.setattr(Counter, "labels", labels)
    monkeypatch.setattr(Histogram, "labels", labels)
    metrics.hit(Route())
    metrics.waited(Route(), 0.1)
    metrics.injected(Route(), "injected")
    assert value(metrics, "grantway_token_hits_total", **ROUTED) == 2


def test_counts_are_complete_across_threads(metrics: GatewayMetrics) -> None:
    def many() -> None:
        for _ in range(500):
            metrics.hit(Route())
            metrics.injected(Route(), "injected")

    CallerThreads(16, many).join()
    assert value(metrics, "grantway_token_hits_total", **ROUTED) == 8000
    assert value(metrics, "grantway_requests_total", **ROUTED, outcome="injected") == 8000


def test_the_number_of_label_values_is_bounded(registry: CollectorRegistry) -> None:
    metrics = GatewayMetrics(registry, most_values=5)
    for number in range(300):
        word = f"w{number}"
        for kind in ("retry", "end"):
            event = grantway.Event(kind, number, word, word, word, outcome=word)  # type: ignore[arg-type]
            metrics.grantway_observe(event)
        metrics.hit(Route(word, word))
        metrics.waited(Route(word, word), 0.1)
        metrics.injected(Route(word, word), word)
        metrics.injected(Route("w0", "w0"), word)
        metrics.watch(Protection(word))
    seen: dict[str, set[str]] = {}
    for family in registry.collect():
        for sample in family.samples:
            for name, label in sample.labels.items():
                if name != "le":
                    seen.setdefault(name, set()).add(label)
    assert {name: len(values) for name, values in seen.items()} == {
        "route": 6,
        "provider": 6,
        "step": 6,
        "grant": 6,
        "outcome": 6,
        "reason": 6,
    }
    assert all("other" in values for values in seen.values())
    rest = {"route": "other", "provider": "other"}
    assert value(metrics, "grantway_token_hits_total", **rest) == 295
    assert len(metrics._routes) == 5


def test_metrics_contain_no_client_tenant_or_token(metrics: GatewayMetrics) -> None:
    with (
        FaultServer(
            faults.respond(200, {"access_token": "at-secret", "token_type": "Bearer"})
        ) as server,
        make_client(server, registry=observed(metrics)) as client,
    ):
        pool = client.credential_pool(grant_type="client_credentials")
        pool.token("tenant-of-ours")
    page = metrics.render()[0].decode()
    assert 'outcome="ok"' in page
    for secret in ("at-secret", "tenant-of-ours", "gateway", "secret"):
        assert secret not in page


def test_gauges_follow_a_protection(metrics: GatewayMetrics) -> None:
    clock, held = Clock(), HeldResponses()
    guard = Protection(
        "login",
        breaker=BreakerRules(failures=1, open_for=5.0),
        bulkhead=BulkheadRules(at_once=1, waiting=0),
        clock=clock,
        jitter=lambda: 0.0,
    )
    metrics.watch(guard)
    gauges = [
        ("grantway_breaker_state", 0.0),
        ("grantway_bulkhead_in_flight", 0.0),
        ("grantway_bulkhead_waiting", 0.0),
    ]
    for name, level in gauges:
        assert value(metrics, name, provider="login") == level
    with (
        FaultServer(held, faults.respond(500, b"")) as server,
        make_client(server, guard) as client,
    ):
        first = CallerThreads(1, lambda: request_token(client))
        held.wait_for(1)
        with pytest.raises(grantway.ProviderPausedError):
            request_token(client)
        assert value(metrics, "grantway_bulkhead_in_flight", provider="login") == 1
        held.gate.set()
        first.join()
        fail_requests(client, 1)
        for _ in range(2):
            with pytest.raises(grantway.ProviderPausedError):
                request_token(client)
    assert value(metrics, "grantway_bulkhead_in_flight", provider="login") == 0
    shed = "grantway_provider_shed_total"
    assert value(metrics, shed, provider="login", reason="full") == 1
    assert value(metrics, shed, provider="login", reason="open") == 2
    assert value(metrics, "grantway_breaker_moves_total", provider="login", state="open") == 1
    assert value(metrics, "grantway_breaker_state", provider="login") == 2
    clock.now += 5.0  # without another call
    assert value(metrics, "grantway_breaker_state", provider="login") == 1


def test_a_later_protection_replaces_the_earlier_one_of_its_provider(
    metrics: GatewayMetrics,
) -> None:
    """A gateway replaces a protection when it reloads its configuration during calls."""
    held, before, after = HeldResponses(), Protection("login"), Protection("login")
    metrics.watch(before)
    with FaultServer(held) as server, make_client(server, before) as client:
        late = CallerThreads(1, lambda: request_token(client))
        held.wait_for(1)
        assert value(metrics, "grantway_bulkhead_in_flight", provider="login") == 1
        metrics.watch(after)
        for _ in range(2):
            assert value(metrics, "grantway_bulkhead_in_flight", provider="login") == 0
            held.gate.set()
            late.join()


def test_counts_calls_that_were_not_sent() -> None:
    guard = Protection("login", breaker=BreakerRules(failures=1))
    with FaultServer(faults.respond(500, b"")) as server:
        metrics = named(server)
        with make_client(server, guard, registry=observed(metrics)) as client:
            fail_requests(client, 1)
            with pytest.raises(grantway.ProviderPausedError):
                request_token(client)
    calls = "grantway_provider_calls_total"
    assert value(metrics, calls, **TOKEN_CALL, outcome="provider_paused") == 1


def test_processes_share_metrics_through_a_folder(tmp_path: Path) -> None:
    begin = """
        from types import SimpleNamespace
        from prometheus_client import CollectorRegistry
        from grantway_plugins.gateway._metrics import GatewayMetrics
        metrics = GatewayMetrics(CollectorRegistry())
    """
    hit = 'metrics.hit(SimpleNamespace(name="orders", provider="login"))'
    show = "print(metrics.render()[0].decode())"

    def run(program: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(begin) + program],
            env={"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
        return done.stdout

    run(hit)
    run(hit)
    page = run(show)
    assert 'grantway_token_hits_total{provider="login",route="orders"} 2.0' in page


@pytest.mark.parametrize(
    ("accept", "kind"),
    [("", "text/plain"), ("application/openmetrics-text", "application/openmetrics-text")],
)
def test_uses_the_format_that_the_scraper_accepts(
    metrics: GatewayMetrics, accept: str, kind: str
) -> None:
    assert metrics.render(accept)[1].startswith(kind)


@pytest.mark.parametrize("most", [0, -1, 1.5, True, "5"])
def test_rejects_an_invalid_limit_by_name(registry: CollectorRegistry, most: Any) -> None:
    with pytest.raises(grantway.ConfigurationError, match="most_values: must be a whole number"):
        GatewayMetrics(registry, most_values=most)
