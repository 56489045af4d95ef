"""CPU time of the gateway's proxy in several versions of grantway, as ratios.

Run: ``python tests/benchmarks/gateway/versions.py PYTHON [PYTHON ...] [--rounds N] [--seconds S]``

Each PYTHON is the interpreter of an environment in which another version is installed. The versions
alternate with this one in each round and have the same core, upstream (nginx) and caller, which use
the other core. The caller checks the token in each response. CPU time depends less on other load on
the machine than the requests per second do.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.benchmarks.fronts.candidates import Front, on_core, write_file
from tests.benchmarks.fronts.servers import Provider
from tests.benchmarks.fronts.speed import WARM, Measured, saturate, subfolder, token_upstream
from tests.benchmarks.gateway.cores import busy, machine
from tests.benchmarks.gateway.machines import GATEWAY_CORE, OTHER_CORE, gateway, here
from tests.faults import free_port
from tests.interop.proxies import nginx_http

_HOUR = 3600


def measure(pythons: list[str], rounds: int, seconds: float, size: str) -> None:
    """Run the rounds, and print the table."""
    print(f"{machine()} {rounds} rounds of {seconds:g} s, {size} responses.\n")
    here()
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        provider = Provider(_HOUR)
        provider.up()
        running.callback(provider.down)
        port = free_port()
        with on_core(OTHER_CORE):
            configured = token_upstream(port)
            running.enter_context(nginx_http(subfolder(folder, "upstream"), configured, port))
        versions = []
        for number, python in enumerate(pythons):
            ports = {"upstream": port, "listen": free_port()}
            file = write_file(subfolder(folder, str(number)), provider, ports)
            serving = running.enter_context(gateway(file, core=GATEWAY_CORE, python=python))
            front = Front(lambda *_: ExitStack(), python, asks=False)
            versions.append(Measured(front, serving.port, (serving.pid,), tokens=True))
        for number in range(-1, rounds):  # the first one fills caches
            for each in versions:
                saturate(each, size, WARM)
                before, began = busy(*each.pids), time.monotonic()
                count = saturate(each, size, seconds)
                if number >= 0:
                    each.rates[size].append(count / (time.monotonic() - began))
                    each.costs[size].append((busy(*each.pids) - before) / count * 1e6)
    print("| Python | requests/s | CPU time per request, µs | requests per CPU second, ratio |")
    print("|---|--:|--:|--:|")
    first = versions[0].costs[size]
    for each in versions:
        rate, cost = statistics.median(each.rates[size]), statistics.median(each.costs[size])
        ratios = [old / new for old, new in zip(first, each.costs[size], strict=True)]
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"| {each.front.base} | {rate:,.0f} | {cost:.0f} | {spread} |")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pythons", nargs="*", metavar="PYTHON")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--size", choices=("small", "16 kB"), default="small")
    options = parser.parse_args()
    pythons = [*options.pythons, sys.executable]
    measure(pythons, options.rounds, options.seconds, options.size)


if __name__ == "__main__":
    main()
