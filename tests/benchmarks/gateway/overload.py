"""Responses of an overloaded gateway, and its recovery.

Run: ``python tests/benchmarks/gateway/overload.py [--most N]`` (a minute)

All tokens are cached. Requests arrive at a sustainable rate, then at an excessive rate, then at the
first rate again. ``--most`` limits the connections (``limits.connections``).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.benchmarks.gateway.cores import machine
from tests.benchmarks.gateway.machines import (
    backend,
    callers,
    finished,
    gateway,
    here,
    write_config,
)

_HOUR = 3600.0
_TENANTS = 100


def measure(options: argparse.Namespace) -> None:
    """Run the load, and print the table."""
    print(machine())
    here()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with backend(folder, lifetime=_HOUR) as behind:
            config = write_config(folder, behind)
            with config.open("a") as more:
                more.write(f"[gateway.limits]\nconnections = {options.most}\n")
            with gateway(config) as running:
                print(f"\nAt most {options.most} connections, {_TENANTS} tenants.\n")
                print("| requests/s | what they got | latency: median / p99 / longest, ms |")
                print("|--:|---|--:|")
                phases = [
                    (options.rate, _TENANTS),
                    (options.rate, 0),
                    (options.over, 0),
                    (options.rate, 0),
                    (options.rate, 0),
                ]
                for rate, first in phases:
                    with callers(
                        ports=[running.port],
                        rate=rate,
                        seconds=options.seconds,
                        tenants=_TENANTS,
                        each_first=1 if first else 0,
                    ) as program:
                        found = finished(program, options.seconds)
                    got = "; ".join(f"{n} x {what}" for what, n in found["outcomes"].items())
                    times = " / ".join(
                        f"{found[each] * 1e3:.0f}" for each in ("median", "p99", "longest")
                    )
                    print(f"| {rate:g} | {got} | {times} |", flush=True)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=300.0)
    parser.add_argument("--over", type=float, default=3000.0)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--most", type=int, default=4096)
    measure(parser.parse_args())


if __name__ == "__main__":
    main()
