"""Effects on clients when the shared PostgreSQL of two issuers crashes under load.

Run from the repository's root:
``python -m tests.benchmarks.issuer_replicas [--restarts N] [--between S]``

Two ``grantway serve`` processes share a database. Eight clients each refresh one login, alternating
between the issuers, and retry failed requests. Two more clients send each device code to both
issuers at once. PostgreSQL is stopped without a checkpoint (``immediate``) and restarted. The
program prints one table, and fails if a login was lost or a code was redeemed twice.
"""

from __future__ import annotations

import argparse
import time
from contextlib import ExitStack

from tests.interop.grantway_serve import serving
from tests.plugins.issuer.replicas import Load, Tally
from tests.postgres import postgres_server


def measure(restarts: int, between: float) -> tuple[Tally, float]:
    """Return the clients' results, and the seconds for which the database was down."""
    away = 0.0
    with postgres_server() as postgres, ExitStack() as running:
        options = ("--approve", "auto", "--database", postgres.url)
        urls = [running.enter_context(serving(*options)).url for _ in range(2)]

        def restart() -> None:
            nonlocal away
            for _ in range(restarts):
                time.sleep(between)
                began = time.monotonic()
                postgres.restart()
                away += time.monotonic() - began
            time.sleep(between)

        tally = Load(urls).run(restart, chains=8, racers=2)
    return tally, away


def main() -> None:
    """Run the benchmark, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--restarts", type=int, default=5)
    parser.add_argument("--between", type=float, default=5.0, help="seconds between two restarts")
    options = parser.parse_args()
    tally, away = measure(options.restarts, options.between)
    rows = {
        "restarts of PostgreSQL, seconds away in total": f"{options.restarts}, {away:.1f}",
        "requests": f"{sum(tally.statuses.values()):,}",
        "requests failed (5xx or no response)": f"{tally.failed:,}",
        "refreshes that succeeded": f"{tally.refreshed:,}",
        "longest refresh with its repetitions, seconds": f"{tally.longest:.1f}",
        "device codes redeemed at one of two issuers": f"{tally.redeemed:,}",
        "tokens lost": f"{tally.lost}",
        "tokens issued twice": f"{tally.twice}",
    }
    print("| | |\n|---|--:|")
    for name, value in rows.items():
        print(f"| {name} | {value} |")
    if tally.lost or tally.twice:
        raise SystemExit("a login was lost, or a code was redeemed twice")


if __name__ == "__main__":
    main()
