"""Effects on clients when the PostgreSQL of two issuers, or one of them, is killed under load.

Run from the repository's root:
``python -m tests.benchmarks.issuer_replicas [--rounds N] [--between S]``

Two issuers share a database, and the clock of the second is two seconds ahead. Eight clients each
refresh one login, alternating between the issuers, and retry failed requests at the other issuer
after 50 milliseconds. Two more clients send each device code to both issuers at once. In each
round, PostgreSQL is killed with SIGKILL and started again; then the second issuer is; then both
are. The program prints the results and the failed requests by reason, and fails if a login was
lost, or if a code was redeemed or a token issued twice.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

from tests.plugins.issuer.replica import Replica
from tests.plugins.issuer.replicas import Load, Tally
from tests.postgres import postgres_server

#: Seconds by which the second issuer's clock is ahead.
AHEAD = 2.0


def measure(rounds: int, between: float) -> tuple[Tally, dict[str, float]]:
    """Return the clients' results, and the downtime for each event in seconds."""
    with (
        postgres_server() as postgres,
        Replica(postgres.url, fork=False) as first,
        Replica(postgres.url, ahead=AHEAD, fork=False) as second,
    ):

        def both() -> None:
            postgres.kill()
            second.kill()
            postgres.start()
            second.start()

        def database() -> None:
            postgres.kill()
            postgres.start()

        def issuer() -> None:
            second.kill()
            second.start()

        events: dict[str, Callable[[], None]] = {
            "PostgreSQL": database,
            "one issuer": issuer,
            "PostgreSQL and one issuer": both,
        }
        away = dict.fromkeys(events, 0.0)

        def failures() -> None:
            for _ in range(rounds):
                for name, event in events.items():
                    time.sleep(between)
                    began = time.monotonic()
                    event()
                    away[name] += time.monotonic() - began
            time.sleep(between)

        tally = Load([first.url, second.url]).run(failures, chains=8, racers=2)
    return tally, away


def main() -> None:
    """Run the benchmark, and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--between", type=float, default=5.0, help="seconds between two events")
    options = parser.parse_args()
    tally, away = measure(options.rounds, options.between)
    rows = {
        f"{name} killed {options.rounds} times, down for": f"{seconds:.1f} s"
        for name, seconds in away.items()
    } | {
        "requests": f"{sum(tally.statuses.values()):,}",
        "requests failed (5xx or no response)": f"{tally.failed:,}",
        "refreshes that succeeded": f"{tally.refreshed:,}",
        "longest refresh with its retries": f"{tally.longest:.1f} s",
        "device codes redeemed at one of two issuers": f"{tally.redeemed:,}",
        "logins lost": f"{tally.lost}",
        "tokens issued twice": f"{tally.twice}",
    }
    print("| | |\n|---|--:|")
    for name, value in rows.items():
        print(f"| {name} | {value} |")
    print("\n| reason of a failed request | requests |\n|---|--:|")
    for reason, count in tally.reasons.most_common():
        print(f"| {reason} | {count:,} |")
    if tally.lost or tally.twice:
        raise SystemExit("a login was lost, or a code was redeemed or a token issued twice")


if __name__ == "__main__":
    main()
