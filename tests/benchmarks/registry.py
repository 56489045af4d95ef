"""Cost of the registry per token and at start-up.

Run: ``python tests/benchmarks/registry.py [--calls N] [--rounds N]``

1. Choosing a grant and validating its parameters, with 3 and with 200 registered grants: the
   median of rounds, in microseconds. It must be at most 25, and the same for both.
2. Start-up with 0, 50 and 200 additional plugins, each in a separate distribution: the time to
   build the registry in a new process, in milliseconds, and its increase for each plugin. A client
   builds it, so its modules are imported before. The same with all of them blocked, which avoids
   importing them; and the time in which Python imports their modules without a registry.
3. ``grantway --help`` with 0, 10 and 200 additional plugins, with and without a command each, as a
   multiple of ``python -c pass``.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import grantway
from grantway._plugins.registry import Registry
from tests.core.registry.distributions import Site, coupon

LIMIT = 25.0
PARAMS = {"refresh_token": "r" * 43, "scope": ["read", "write"]}
START = """
import json, sys, time
import grantway._plugins.default_registry, grantway._requests.client, grantway._types.fields
before = set(sys.modules)
began = time.perf_counter()
registry = grantway.default_registry()
took = time.perf_counter() - began
print(json.dumps({
    "milliseconds": took * 1000,
    "grants": len(registry.grants),
    "imported": len([name for name in set(sys.modules) - before if name.startswith("bench_")]),
}))
"""
IMPORT = START.replace(
    "registry = grantway.default_registry()",
    "for number in range(200): __import__(f'bench_{number}')",
).replace("len(registry.grants)", "0")


def chosen_and_validated(registry: Registry, calls: int) -> float:
    """Return the time of one lookup with validation in microseconds."""
    began = time.perf_counter()
    for _ in range(calls):
        registry.grant("refresh_token").load(PARAMS)
    return (time.perf_counter() - began) / calls * 1e6


def with_grants(count: int) -> Registry:
    """Return a number of grants, including the three standard ones."""
    names = ("authorization_code", "device_code", "refresh_token")
    registry = grantway.build_registry(only=names, strict=True)
    more = [
        grantway.Grant(grant_type=f"urn:example:{number}", schema=grantway.GrantSchema())
        for number in range(max(0, count - len(registry.grants)))
    ]
    return registry.with_grants(more)


def start_up(plugins: int, rounds: int, choice: str = "", program: str = START) -> dict[str, float]:
    """Return the median time to build the registry in new processes, in milliseconds."""
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder))
        for number in range(plugins):
            site.install(f"bench-{number}", coupon(f"urn:bench:{number}"), name=f"coupon-{number}")
        environment = {**os.environ, "PYTHONPATH": folder, "GRANTWAY_PLUGINS": choice}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        runs = [
            json.loads(
                subprocess.run(
                    [sys.executable, "-c", program],
                    env=environment,
                    check=True,
                    capture_output=True,
                    text=True,
                ).stdout
            )
            for _ in range(rounds + 1)
        ][1:]  # the first one compiles the modules
    return {
        "milliseconds": round(statistics.median(run["milliseconds"] for run in runs), 1),
        "grants": runs[0]["grants"],
        "imported": runs[0]["imported"],
    }


def help_ratio(plugins: int, rounds: int, *, commands: bool) -> float:
    """Return the duration of ``grantway --help``, as a multiple of a bare start of Python."""
    programs = {
        "pass": [sys.executable, "-c", "pass"],
        "help": [str(Path(sys.executable).with_name("grantway")), "--help"],
    }
    took: dict[str, list[float]] = {name: [] for name in programs}
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder))
        for number in range(plugins):
            points = f"[grantway.v1]\nplugin_{number} = bench_{number}\n"
            if commands:
                points += f"[grantway.commands]\ncommand-{number} = bench_{number}:command\n"
            site.install(f"bench-{number}", coupon(f"urn:bench:{number}"), entry_points=points)
        environment = {**os.environ, "PYTHONPATH": folder}
        for _ in range(rounds):
            for name, program in programs.items():
                began = time.perf_counter()
                subprocess.run(program, env=environment, check=True, stdout=subprocess.DEVNULL)
                took[name].append(time.perf_counter() - began)
    return statistics.median(took["help"]) / statistics.median(took["pass"])


def main() -> None:
    """Run the benchmark, print the results, and fail if the limit is exceeded."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()

    registries = {count: with_grants(count) for count in (3, 200)}
    rounds: dict[int, list[float]] = {count: [] for count in registries}
    for _ in range(options.rounds):
        for count, registry in registries.items():  # alternating, so that other load affects both
            rounds[count].append(chosen_and_validated(registry, options.calls))
    medians = {count: statistics.median(times) for count, times in rounds.items()}
    for count, microseconds in medians.items():
        print(f"choose and validate, {count:3} grants asked for: {microseconds:5.1f} us")
    alone = start_up(0, options.rounds)["milliseconds"]
    print(f"start-up: {alone:.1f} ms")
    for plugins, choice in ((50, ""), (200, ""), (200, "grantway")):
        figures = start_up(plugins, options.rounds, choice)
        blocked = ", blocked" if choice else ""
        print(
            f"start-up, {plugins:3} more plugins{blocked}: {figures['milliseconds']:.1f} ms, "
            f"{(figures['milliseconds'] - alone) / plugins:.2f} ms each, "
            f"{figures['grants']} grants, {figures['imported']} plugin modules imported"
        )
    modules = start_up(200, options.rounds, program=IMPORT)["milliseconds"]
    print(f"importing 200 modules of plugins alone: {modules:.1f} ms, {modules / 200:.2f} ms each")
    for plugins, commands in ((0, False), (10, True), (200, False), (200, True)):
        ratio = help_ratio(plugins, 3 * options.rounds, commands=commands)
        suffix = " with a command each" if commands else ""
        print(f"--help, {plugins:3} more plugins{suffix}: {ratio:.2f} x python -c pass")
    if max(medians.values()) > LIMIT:
        sys.exit(f"more than {LIMIT} us")


if __name__ == "__main__":
    main()
