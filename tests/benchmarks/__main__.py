"""Compare grantway with other libraries in one run; see CONTRIBUTING.md."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection
from pathlib import Path

from tests.benchmarks import cached_token, fresh_process, one_expiry, results, round_trip, table
from tests.benchmarks.measuring import Row
from tests.benchmarks.server import pin, token_server

MODULES = {
    round_trip.SYNC: round_trip,
    round_trip.ASYNC: round_trip,
    fresh_process.FIRST: fresh_process,
    fresh_process.MEMORY: fresh_process,
    fresh_process.HELP: fresh_process,
    cached_token.NAME: cached_token,
    one_expiry.NAME: one_expiry,
}


def measure(names: Collection[str], *, short: bool) -> list[Row]:
    """Return the rows with these names, and those that are measured together with them."""
    with token_server() as base:
        pin(0)
        modules = dict.fromkeys(module for name, module in MODULES.items() if name in names)
        return [row for module in modules for row in module.measure(base, short=short)]


def main() -> int:
    """Run the benchmarks. Return 1 if ``--check`` finds a regression."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--short", action="store_true", help="measure only grantway")
    parser.add_argument("--only", action="append", choices=MODULES, metavar="ROW", help="a row")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to a file")
    parser.add_argument(
        "--update", action="store_true", help="store the results, and write them into the docs"
    )
    parser.add_argument(
        "--check", action="store_true", help="compare a short run with the stored results"
    )
    options = parser.parse_args()
    if options.update and (options.only or options.short or options.check):
        parser.error("--update stores a run of all rows with all peers")
    names = options.only or list(MODULES)

    if options.check:
        stored, _ = results.load()

        def again(rows: Collection[str]) -> list[Row]:
            found = measure([name for name in rows if name in names], short=True)
            print(table.render(found))
            return found

        worse = results.regressions([row for row in stored if row.name in names], again)
        for reason in worse.values():
            print(f"Worse than stored in two runs: {reason}", file=sys.stderr)
        return 1 if worse else 0

    if not options.short:
        results.check_environment()
    measured = results.environment()
    rows = measure(names, short=options.short)
    print(table.render(rows))
    if options.update:
        options.json = results.STORED
        table.replace_section(rows, measured)
    if options.json:
        options.json.write_text(results.dump(rows, measured), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
