"""The dashboard, the alerts and the reference use existing metrics and labels."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace
from typing import get_args

import pytest
from prometheus_client import CollectorRegistry

import grantway
from grantway_plugins.gateway._metrics import GatewayMetrics
from grantway_plugins.gateway._protection import Protection
from grantway_plugins.gateway._protection.state import ShedReason
from grantway_plugins.gateway.upstream._observer import Outcome
from tests import dashboards
from tests.docs.pages import DOCS

DASHBOARD = json.loads((DOCS / "how-to" / "grafana-dashboard.json").read_text(encoding="utf-8"))
REFERENCE = (DOCS / "reference" / "gateway.md").read_text(encoding="utf-8")
QUERIES = dashboards.queries(DASHBOARD)
ALERTS = [
    rule
    for page in ("watch-a-gateway.md", "operate-connections.md")
    for rule in dashboards.alerts(page)
]
SHOWN = [*QUERIES, *(rule["expr"] for rule in ALERTS)]


def existing() -> dict[str, set[str]]:
    """Return every sample that a gateway can export, with its labels."""
    registry = CollectorRegistry()
    metrics = GatewayMetrics(registry)
    route = SimpleNamespace(name="orders", provider="login")
    metrics.hit(route)
    metrics.waited(route, 0.1)
    metrics.injected(route, "injected")
    for kind in ("retry", "end"):
        metrics.grantway_observe(grantway.Event(kind, 1, "token", "login", "g", outcome="ok"))  # type: ignore[arg-type]
    guard = Protection("login")
    metrics.watch(guard)
    metrics.watch_certificate(SimpleNamespace(not_after=0.0, failures=0))  # type: ignore[arg-type]
    metrics.connections.count({("login", "connected"): 1})
    metrics.connections.event("login", "used", 1)
    metrics.connections.refresh("login", "refreshed", 0.0)
    metrics.connections.webhook("delivered")
    metrics.inbound.verified("https://login.example", "accepted")
    metrics.inbound.asked("https://login.example", "keys", "ok")
    metrics._shed.labels("login", "full")
    metrics._moves.labels("login", "open")
    return dashboards.samples(registry.collect())


#: Metrics of a gateway with several workers; see ``test_worker_processes``.
WORKERS = {"grantway_workers": set[str](), "grantway_worker_exits_total": set[str]()}


EXISTING = existing()


@pytest.mark.parametrize("expression", SHOWN)
def test_queries_use_existing_metrics_and_labels(expression: str) -> None:
    dashboards.check_query(expression, {**EXISTING, **WORKERS})


def test_every_metric_is_on_the_dashboard() -> None:
    shown = re.findall(r"grantway_\w+", "\n".join(QUERIES))
    assert dashboards.families(shown) == dashboards.families(EXISTING)


def test_the_dashboard_can_be_imported() -> None:
    dashboards.check_importable(DASHBOARD)
    dashboards.check_layout(DASHBOARD)


def test_alerts_have_a_summary() -> None:
    dashboards.check_alerts(ALERTS, {**EXISTING, **WORKERS})


def test_the_reference_lists_every_metric_with_its_labels() -> None:
    dashboards.check_reference(REFERENCE, EXISTING)


@pytest.mark.parametrize(
    ("metric", "label", "words"),
    [
        ("grantway_provider_shed_total", "reason", get_args(ShedReason)),
        ("grantway_requests_total", "outcome", get_args(Outcome)),
    ],
)
def test_the_reference_lists_the_values_of_a_label(
    metric: str, label: str, words: tuple[str, ...]
) -> None:
    found = re.search(rf"^\| `{metric}` .*`{label}`: (.*) \|$", REFERENCE, re.MULTILINE)
    assert found is not None
    assert set(re.findall(r"`(\w+)`", found[1])) == set(words)
