"""CI accepts noise and rejects a slower grantway; the docs show the stored results."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import pytest

from tests.benchmarks import results, table
from tests.benchmarks.__main__ import MODULES
from tests.benchmarks.measuring import OURS, Row

BASE = [10.0, 11.0, 9.0, 10.0]


def _row(name: str, ours: list[float]) -> Row:
    return Row.of(name, "us", "base", {OURS: ours, "base": BASE})


STORED = [_row("fast", [2.0, 2.2, 1.8, 2.0]), _row("slow", [20.0, 22.0, 18.0, 20.0])]
SAME = STORED
SLOWER = [STORED[0], _row("slow", [26.0, 28.6, 23.4, 26.0])]


class _Runs:
    """Returns prepared results, and records which rows were asked for."""

    def __init__(self, *runs: list[Row]) -> None:
        self._runs = list(runs)
        self.asked: list[set[str]] = []

    def __call__(self, names: Collection[str]) -> list[Row]:
        self.asked.append(set(names))
        return self._runs.pop(0)


def test_a_ratio_compares_medians_above_the_floor() -> None:
    samples = {OURS: [7.0, 9.0, 8.0], "base": [5.0, 6.0, 4.0], "bare": [1.0, 2.0, 3.0]}
    row = Row.of("row", "ms", "base", samples, floor="bare")
    assert row.cells.keys() == {OURS, "base"}
    assert row.cells[OURS].ratio == 2.0  # (8 - 2) / (5 - 2)
    assert row.cells[OURS].low <= 2.0 <= row.cells[OURS].high
    assert row.cells[OURS].median == 6.0


def test_equal_results_are_measured_once() -> None:
    runs = _Runs(SAME)
    assert results.regressions(STORED, runs) == {}
    assert runs.asked == [{"fast", "slow"}]


def test_a_ratio_that_is_worse_twice_is_a_regression() -> None:
    runs = _Runs(SLOWER, SLOWER)
    found = results.regressions(STORED, runs)
    assert list(found) == ["slow"]
    assert "slow: 2.6 x base" in found["slow"]
    assert "stored: 2" in found["slow"]
    assert runs.asked[1] == {"slow"}


def test_a_ratio_that_is_worse_once_is_no_regression() -> None:
    assert results.regressions(STORED, _Runs(SLOWER, SAME)) == {}


def test_two_rows_that_are_worse_once_each_are_no_regression() -> None:
    other = [_row("fast", [3.0, 3.3, 2.7, 3.0]), STORED[1]]
    assert results.regressions(STORED, _Runs(SLOWER, other)) == {}


@pytest.mark.parametrize(("factor", "worse"), [(1.24, False), (1.26, True)])
def test_the_limit_is_a_quarter_more(factor: float, worse: bool) -> None:
    row = _row("fast", [factor * value / 5 for value in BASE])
    assert bool(results.worse(STORED, [row])) is worse


def test_single_slow_rounds_are_not_worse() -> None:
    ratios = [2.0, 2.0, 9.0, 9.0]
    row = _row("fast", [ratio * base / 10 for ratio, base in zip(ratios, BASE, strict=True)])
    assert row.cells[OURS].ratio > results.LIMIT * STORED[0].cells[OURS].ratio
    assert results.worse(STORED, [row]) == {}


def test_results_survive_json() -> None:
    row = replace(STORED[0], notes={OURS: "requests: 1, threads: 0"})
    assert Row.from_json(row.to_json()) == row


def test_all_rows_are_stored_with_their_environment() -> None:
    rows, measured = results.load()
    assert {row.name for row in rows} == set(MODULES)
    assert all(OURS in row.cells and row.rounds >= 7 for row in rows)
    assert measured.keys() == {"date", "commit", "machine", "load", "python", "versions"}
    assert all(measured["versions"].values())


def test_the_docs_show_the_stored_results() -> None:
    page = table.PAGE.read_text(encoding="utf-8")
    assert table.section(*results.load()) in page


def test_the_table_says_why_a_peer_has_no_result() -> None:
    rows, _ = results.load()
    text = table.render(rows)
    assert table.NOT_MEASURED not in text
    assert all(
        reason in text
        for reason in (table.BLOCKING, table.ASYNCHRONOUS, table.NO_TOKENS, table.PRIVATE)
    )
