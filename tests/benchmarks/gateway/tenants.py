"""Refreshes per second and memory of a gateway with many tenants.

Run: ``python tests/benchmarks/gateway/tenants.py [--figure FILE]`` (three minutes)

Tokens live for a minute instead of an hour. Each tenant is requested once; then tenants are chosen
by a Zipf distribution with exponent 1, at a steady rate. Every response is checked: the echo
upstream returns the tenant of the request's token, as the issuer knows it. Every token response of
the issuer counts as a refresh.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.benchmarks.gateway.cores import busy, machine, resident
from tests.benchmarks.gateway.machines import (
    backend,
    callers,
    finished,
    gateway,
    here,
    write_config,
)
from tests.benchmarks.gateway.plot import chart

LIFETIME = 60.0
#: Seconds until tenants whose first token expired before the Zipf phase were requested again.
SETTLED = 15


class Memory:
    """Sample the memory of a process every second during the block."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.began = time.monotonic()
        self.seen: list[tuple[float, float]] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def _look(self) -> None:
        while not self._ended.wait(1.0):
            self.seen.append((time.monotonic(), resident(self._pid)))

    def at(self, when: float) -> float:
        """Return the memory in MiB at the sample nearest to a time."""
        return min(self.seen, key=lambda each: abs(each[0] - when))[1]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()


def _asked(behind: Any, began: float, seconds: int) -> tuple[list[int], Counter[int]]:
    asked = behind.do("report")["asked"]
    found = Counter(int(when - began) for when, _status in asked)
    return [found[second] for second in range(seconds)], Counter(s for _, s in asked)


def measure(options: argparse.Namespace) -> None:
    """Run the load, print the tables, and draw the chart."""
    print(machine())
    here()
    first = options.tenants / options.first_rate
    provider = "" if options.jitter is None else f"freshness = {{ jitter = {options.jitter} }}"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (
            backend(folder, lifetime=LIFETIME) as behind,
            gateway(write_config(folder, behind, provider=provider)) as running,
            Memory(running.pid) as memory,
        ):
            start = resident(running.pid)
            began = time.monotonic()
            common: dict[str, Any] = {"ports": [running.port], "tenants": options.tenants}
            with callers(rate=options.first_rate, seconds=first, each_first=1, **common) as program:
                warm = finished(program, first)
            zipf, busy_first = time.monotonic(), busy(running.pid)
            with callers(rate=options.rate, seconds=options.seconds, **common) as program:
                found = finished(program, options.seconds)
            ended, busy_then = time.monotonic(), busy(running.pid)
            per_second, statuses = _asked(behind, began, int(ended - began))
            report = behind.do("report")
            errors = running.errors()
    change = int(zipf - began) + 1
    turned, steady = per_second[change : change + SETTLED], per_second[change + SETTLED :]
    print(
        f"\n{options.tenants} tenants, tokens of {LIFETIME:g} s; each once at "
        f"{options.first_rate:g} requests/s, then {options.rate:g} requests/s for "
        f"{options.seconds:g} s.\n"
    )
    print("| | each tenant once | zipf |\n|---|--:|--:|")
    rows: dict[str, Callable[[dict[str, Any]], Any]] = {
        "requests": lambda each: each["sent"],
        "tenants asked for": lambda each: each["tenants"],
        "got the tenant's own, valid token": lambda each: each["outcomes"].get("ok", 0),
        "anything else": lambda each: (
            ", ".join(f"{n} x {what}" for what, n in each["outcomes"].items() if what != "ok")
            or "0"
        ),
        "latency, median, ms": lambda each: f"{each['median'] * 1e3:.1f}",
        "latency, 99th percentile, ms": lambda each: f"{each['p99'] * 1e3:.1f}",
    }
    for row, value in rows.items():
        print(f"| {row} | {value(warm)} | {value(found)} |")
    shares = busy_first / (zipf - began), (busy_then - busy_first) / (ended - zipf)
    print(f"| the gateway's share of its core | {shares[0]:.0%} | {shares[1]:.0%} |")
    mean = statistics.mean(steady)
    print("\n| tokens issued each second | |\n|---|--:|")
    print(f"| most, in the first {SETTLED} s of the zipf part | {max(turned)} |")
    print(f"| after that: mean | {mean:.1f} |")
    print(f"| after that: standard deviation | {statistics.pstdev(steady):.1f} |")
    print(f"| after that: most | {max(steady)} ({max(steady) / mean:.2f} x the mean) |")
    print(f"| tenants that logged in twice | {sum(n > 1 for n in report['logins'].values())} |")
    print(f"| rejected refresh tokens | {report['denied']} |")
    print(f"| responses of the issuer, by status | {dict(statuses)} |")
    print("\n| memory of the gateway, MiB | |\n|---|--:|")
    print(f"| at the start | {start:.1f} |\n| when each tenant had come | {memory.at(zipf):.1f} |")
    half = zipf + (ended - zipf) / 2
    print(f"| in the middle of the zipf part | {memory.at(half):.1f} |")
    print(f"| at the end | {memory.seen[-1][1]:.1f} |")
    if errors:
        print(f"\nThe gateway wrote:\n{errors[-2000:]}")
    if options.figure:
        title = f"Tokens issued each second, {options.tenants:,} tenants, a token lives a minute"
        marks = {0: "each tenant once", int(zipf - began): "zipf"}
        options.figure.write_text(chart(title, "tokens/s", per_second, marks))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tenants", type=int, default=10_000)
    parser.add_argument("--first-rate", type=float, default=150.0)
    parser.add_argument("--rate", type=float, default=300.0)
    parser.add_argument("--seconds", type=float, default=105.0)
    parser.add_argument("--jitter", type=float, help="jitter to use instead of the default")
    parser.add_argument("--figure", type=Path, help="path of the SVG file to write")
    measure(parser.parse_args())


if __name__ == "__main__":
    main()
