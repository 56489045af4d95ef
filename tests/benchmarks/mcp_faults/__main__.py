"""Compare clients of MCP servers under faults, in one run on one machine.

Run: ``python -m tests.benchmarks.mcp_faults [--update]`` (about fifteen minutes), or ``--check`` to
run only grantway and compare it with the stored results.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from typing import Any

from tests.benchmarks.mcp_faults import report
from tests.benchmarks.mcp_faults.bench import Bench, Outcome, is_worse
from tests.benchmarks.mcp_faults.clients import CLIENTS, DISTRIBUTIONS
from tests.benchmarks.mcp_faults.scenarios import SCENARIOS
from tests.benchmarks.results import environment

#: Scenarios that run at the same time.
_AT_ONCE = 2


def measure(scenario: str, client: str) -> Outcome:
    """Run one scenario with one client."""
    with Bench(client) as bench:
        return SCENARIOS[scenario](bench)


def measure_all(
    scenarios: Collection[str], clients: Collection[str]
) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the outcomes by scenario and client, and print each."""

    def one(pair: tuple[str, str]) -> Outcome:
        found = measure(*pair)
        print(" | ".join([*pair, f"{found.mark} {found.text}", *found.errors]), flush=True)
        return found

    pairs = [(scenario, client) for scenario in scenarios for client in clients]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = dict(zip(pairs, pool.map(one, pairs), strict=True))
    return {
        scenario: {client: found[scenario, client].to_json() for client in clients}
        for scenario in scenarios
    }


def worse(scenarios: Collection[str]) -> list[str]:
    """Return the scenarios in which grantway's mark is worse than the stored one."""
    stored = json.loads(report.STORED.read_text(encoding="utf-8"))["outcomes"]
    before = {name: stored[name]["grantway"]["mark"] for name in scenarios}
    found = measure_all(scenarios, ["grantway"])
    marks = {name: found[name]["grantway"]["mark"] for name in scenarios}
    return [
        f"{name}: {marks[name]}, stored: {before[name]}"
        for name in scenarios
        if is_worse(marks[name], before[name])
    ]


def main() -> int:
    """Run the comparison. Return 1 if ``--check`` finds a worse mark."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.mcp_faults")
    parser.add_argument("--client", action="append", choices=CLIENTS)
    parser.add_argument("--scenario", action="append", choices=SCENARIOS)
    parser.add_argument(
        "--update", action="store_true", help="store the results, and write them into the docs"
    )
    parser.add_argument(
        "--check", action="store_true", help="compare grantway with the stored results"
    )
    options = parser.parse_args()
    if options.update and (options.client or options.scenario):
        parser.error("--update stores a run of everything")
    logging.getLogger("grantway").setLevel(logging.ERROR)  # that the issuer approves all requests
    scenarios = options.scenario or list(SCENARIOS)
    if options.check:
        reasons = worse(scenarios)
        print("\n".join(reasons), file=sys.stderr)
        return 1 if reasons else 0
    results: dict[str, Any] = environment()
    results["versions"] = {name: metadata.version(of) for name, of in DISTRIBUTIONS.items()}
    results["outcomes"] = measure_all(scenarios, options.client or list(CLIENTS))
    if options.update:
        report.replace_section(results)
    else:
        print("\n".join(report.table(results)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
