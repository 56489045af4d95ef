"""The dashboard, the alerts and the reference use existing metrics and labels."""

from __future__ import annotations

import itertools
import json
import re
from types import SimpleNamespace
from typing import Any, get_args

import pytest
import yaml
from prometheus_client import CollectorRegistry

import grantway
from grantway_plugins.gateway._metrics import GatewayMetrics
from grantway_plugins.gateway._protection import Protection
from grantway_plugins.gateway._protection.state import ShedReason
from grantway_plugins.gateway.upstream._observer import Outcome
from tests.docs.pages import DOCS, blocks

DASHBOARD = json.loads((DOCS / "how-to" / "grafana-dashboard.json").read_text(encoding="utf-8"))
PAGE = DOCS / "how-to" / "watch-a-gateway.md"
REFERENCE = (DOCS / "reference" / "gateway.md").read_text(encoding="utf-8")
COLUMNS = 24

PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]]
ALERTS = [
    rule
    for block in blocks(PAGE)
    if block.language == "yaml"
    for group in yaml.safe_load(block.code)["groups"]
    for rule in group["rules"]
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
    metrics._shed.labels("login", "full")
    metrics._moves.labels("login", "open")
    return {
        sample.name: set(sample.labels)
        for family in registry.collect()
        for sample in family.samples
    }


EXISTING = existing()


@pytest.mark.parametrize("expression", SHOWN)
def test_queries_use_existing_metrics_and_labels(expression: str) -> None:
    names = set(re.findall(r"grantway_\w+", expression))
    assert names
    assert names <= set(EXISTING)
    for name, selected in re.findall(r"(grantway_\w+)\{([^}]*)\}", expression):
        assert set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selected)) <= EXISTING[name]
    together = set.union(*(EXISTING[name] for name in names))
    for grouped in re.findall(r"by \(([^)]*)\)", expression):
        assert set(re.split(r",\s*", grouped)) <= together


def test_every_metric_is_on_the_dashboard() -> None:
    shown = {
        re.sub(r"_(bucket|count|sum)$", "", name)
        for name in re.findall(r"grantway_\w+", "\n".join(QUERIES))
    }
    assert shown == {
        re.sub(r"_(bucket|count|sum)$", "", name)
        for name in EXISTING
        if not name.endswith("_created")
    }


def test_the_dashboard_can_be_imported() -> None:
    assert DASHBOARD["title"]
    assert re.fullmatch(r"[\w-]{1,40}", DASHBOARD["uid"])
    assert isinstance(DASHBOARD["schemaVersion"], int)
    assert "id" not in DASHBOARD or DASHBOARD["id"] is None  # a number would be another one's
    assert "__inputs" not in DASHBOARD
    variables = {each["name"] for each in DASHBOARD["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(DASHBOARD)))
    assert used - {"__rate_interval", "__all"} == variables
    assert "http" not in json.dumps(DASHBOARD)
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    for panel in PANELS:
        assert panel["title"]
        assert panel["description"]
        letters = [target["refId"] for target in panel["targets"]]
        assert len(set(letters)) == len(letters)
        for source in (panel["datasource"], *(each["datasource"] for each in panel["targets"])):
            assert source == {"type": "prometheus", "uid": "${datasource}"}


def cells(panel: dict[str, Any]) -> set[tuple[int, int]]:
    at = panel["gridPos"]
    assert at["x"] + at["w"] <= COLUMNS
    return set(
        itertools.product(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"]))
    )


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in PANELS:
        assert not taken & cells(panel), panel["title"]
        taken |= cells(panel)


def test_alerts_have_a_summary_and_a_description() -> None:
    assert len({rule["alert"] for rule in ALERTS}) == len(ALERTS) >= 4
    for rule in ALERTS:
        assert rule["annotations"]["summary"]
        together = {label for name in EXISTING if name in rule["expr"] for label in EXISTING[name]}
        assert set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])) <= together


def test_the_reference_lists_every_metric_with_its_labels() -> None:
    rows = re.findall(r"^\| `(grantway_\w+)` \| (\w+)[^|]*\| (.*) \|$", REFERENCE, re.MULTILINE)
    listed = {}
    for name, kind, labels in rows:
        sample = f"{name}_count" if kind == "histogram" else name
        listed[sample] = EXISTING[sample]
        own = re.findall(r"`(\w+)`", labels.split(":")[0])
        assert set(own) == EXISTING[sample], name
    families = {re.sub(r"_(bucket|count|sum)$", "", name) for name in listed}
    assert families == {
        re.sub(r"_(bucket|count|sum)$", "", name)
        for name in EXISTING
        if not name.endswith("_created")
    }


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
