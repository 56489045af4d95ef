"""The docs show the stored comparison of proxies, and its text matches the stored results."""

from __future__ import annotations

import json

from tests.benchmarks.fronts import report
from tests.benchmarks.fronts.faults import CASES
from tests.benchmarks.fronts.speed import OWN, SIZES

STORED = json.loads(report.STORED.read_text(encoding="utf-8"))
CACHING = {"nginx + grantway (cached)", "HAProxy + grantway (cached)"}
INJECTOR = "Envoy's credential injector"
#: Envoy has one token for all requests, and does not know when it expires.
ENVOYS_OWN = {INJECTOR, "Envoy + grantway (SDS)"}


def test_the_docs_show_the_stored_results() -> None:
    assert report.section(STORED) in report.PAGE.read_text(encoding="utf-8")


def test_all_faults_and_sizes_are_stored_for_each_proxy() -> None:
    assert STORED["faults"].keys() == CASES.keys()
    for found in STORED["faults"].values():
        assert {OWN, INJECTOR, "Envoy + grantway", *CACHING} <= found.keys()
    for found in STORED["speed"].values():
        assert found.get("sizes", SIZES).keys() == SIZES.keys()


def test_no_proxy_that_asks_the_gateway_forwards_an_expired_token() -> None:
    for case in STORED["faults"].values():
        for name, found in case.items():
            reasons = {"expired token", "no token", "unknown token"} & found["failed"].keys()
            assert name in ENVOYS_OWN or not reasons


def test_removed_tenants_are_rejected_within_the_limit() -> None:
    for name, found in STORED["faults"]["removed tenants"].items():
        if name not in ENVOYS_OWN:
            assert max(found["stale_s"]) < (5 if name in CACHING else 0.5)


def test_proxies_with_the_same_result_share_a_line() -> None:
    same = {"rate": 20.0, "failed": {"503": 40}, "longest_s": 1.0, "failed_after_s": 0.0}
    other = {**same, "failed": {"503": 40, "expired token": 2}, "failed_after_s": 2.0}
    lines = [*report.fault_table({"slow": {"a": same, "b": other, "c": {**same, "longest_s": 3}}})]
    title = CASES["slow"].title
    assert lines[2:] == [
        f"| {title} | a, c | 503 for 2 s | 3.0 |",
        "|  | b | 503 for 2 s, expired token for less than 1 s, until 2 s after the fault | 1.0 |",
    ]
