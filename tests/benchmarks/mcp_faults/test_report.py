"""The docs show the stored comparison, and grantway does what it promises in each scenario."""

from __future__ import annotations

import json

import pytest

from tests.benchmarks.mcp_faults import report
from tests.benchmarks.mcp_faults.__main__ import measure
from tests.benchmarks.mcp_faults.bench import BAD, FAIR, GOOD, MEASURED, is_worse
from tests.benchmarks.mcp_faults.clients import CLIENTS
from tests.benchmarks.mcp_faults.scenarios import SCENARIOS

STORED = json.loads(report.STORED.read_text(encoding="utf-8"))
#: Scenarios in which grantway's mark is not ``GOOD``; the page gives the reasons.
PROMISED: dict[str, str] = {
    "lost": BAD,
    "killed": BAD,
    "refused": FAIR,
    "lost_in_window": FAIR,
    "full_disk": FAIR,
    "full_disk_then_restart": FAIR,
    "without_metadata": BAD,
}
#: These wait for timeouts of grantway.
SLOW = {"hanging", "hanging_refresh"}


def test_the_docs_show_the_stored_results() -> None:
    assert report.section(STORED) in report.PAGE.read_text(encoding="utf-8")


def test_all_scenarios_are_stored_for_each_client() -> None:
    assert STORED["outcomes"].keys() == SCENARIOS.keys()
    for found in STORED["outcomes"].values():
        assert found.keys() == CLIENTS.keys()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_stored_marks_of_grantway_are_the_promised_ones(scenario: str) -> None:
    mark = STORED["outcomes"][scenario]["grantway"]["mark"]
    assert mark in {PROMISED.get(scenario, GOOD), MEASURED}


@pytest.mark.slow
@pytest.mark.parametrize("scenario", [name for name in SCENARIOS if name not in SLOW])
def test_grantway_keeps_its_promise(scenario: str) -> None:
    outcome = measure(scenario, "grantway")
    assert not is_worse(outcome.mark, PROMISED.get(scenario, GOOD)), outcome
