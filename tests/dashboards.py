"""Checks of Grafana dashboards and Prometheus alerts."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import yaml
from prometheus_client.metrics_core import Metric

from tests.docs.pages import DOCS, blocks

COLUMNS = 24
#: Labels that Prometheus adds.
SCRAPED = {"instance", "job"}

Samples = Mapping[str, set[str]]


def samples(families: Iterable[Metric]) -> dict[str, set[str]]:
    """Return every sample with its labels."""
    return {each.name: set(each.labels) for family in families for each in family.samples}


def families(names: Iterable[str]) -> set[str]:
    """Return the names of metrics for the names of samples."""
    return {
        re.sub(r"_(bucket|count|sum)$", "", name) for name in names if not name.endswith("_created")
    }


def panels(dashboard: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def queries(dashboard: Mapping[str, Any]) -> list[str]:
    return [target["expr"] for panel in panels(dashboard) for target in panel["targets"]]


def alerts(page: str) -> list[dict[str, Any]]:
    """Return the alerts of a how-to page."""
    return [
        rule
        for block in blocks(DOCS / "how-to" / page)
        if block.language == "yaml"
        for group in yaml.safe_load(block.code).get("groups", ())
        for rule in group["rules"]
    ]


def check_query(expression: str, existing: Samples) -> None:
    """Check that a query uses existing metrics and labels."""
    names = set(re.findall(r"grantway_\w+", expression))
    assert names
    assert names <= set(existing)
    for name, selected in re.findall(r"(grantway_\w+)\{([^}]*)\}", expression):
        used = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selected))
        assert used <= existing[name] | SCRAPED
    together = set.union(*(existing[name] for name in names)) | SCRAPED
    for grouped in re.findall(r"by \(([^)]*)\)", expression):
        assert set(re.split(r",\s*", grouped)) <= together


def check_importable(dashboard: Mapping[str, Any]) -> None:
    """Check that Grafana can import a dashboard."""
    assert dashboard["title"]
    assert re.fullmatch(r"[\w-]{1,40}", dashboard["uid"])
    assert isinstance(dashboard["schemaVersion"], int)
    assert "id" not in dashboard or dashboard["id"] is None  # a number would be another one's
    assert "__inputs" not in dashboard
    variables = {each["name"] for each in dashboard["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(dashboard)))
    assert used - {"__rate_interval", "__all"} == variables
    assert "http" not in json.dumps(dashboard)
    found = panels(dashboard)
    assert len({panel["id"] for panel in found}) == len(found)
    for panel in found:
        assert panel["title"]
        assert panel["description"]
        letters = [target["refId"] for target in panel["targets"]]
        assert len(set(letters)) == len(letters)
        for source in (panel["datasource"], *(each["datasource"] for each in panel["targets"])):
            assert source == {"type": "prometheus", "uid": "${datasource}"}


def check_layout(dashboard: Mapping[str, Any]) -> None:
    """Check that no panels overlap."""
    taken: set[tuple[int, int]] = set()
    for panel in panels(dashboard):
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= COLUMNS
        cells = set(
            itertools.product(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"]))
        )
        assert not taken & cells, panel["title"]
        taken |= cells


def check_alerts(rules: list[dict[str, Any]], existing: Samples) -> None:
    """Check the names and summaries of alerts."""
    assert len({rule["alert"] for rule in rules}) == len(rules) >= 4
    for rule in rules:
        assert rule["annotations"]["summary"]
        together = {label for name in existing if name in rule["expr"] for label in existing[name]}
        used = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        assert used <= together | SCRAPED


def listed_metrics(reference: str) -> dict[str, tuple[str, set[str]]]:
    """Return the metrics in the table of a reference, with their kinds and labels."""
    rows = re.findall(r"^\| `(grantway_\w+)` \| (\w+)[^|]*\| (.*) \|$", reference, re.MULTILINE)
    return {
        name: (kind, set(re.findall(r"`(\w+)`", labels.split(":")[0])))
        for name, kind, labels in rows
    }


def check_reference(reference: str, existing: Samples) -> None:
    """Check that a reference lists every metric with its labels."""
    listed = listed_metrics(reference)
    for name, (kind, labels) in listed.items():
        assert labels == existing[f"{name}_count" if kind == "histogram" else name], name
    assert set(listed) == families(existing)
