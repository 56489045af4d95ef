"""The tables of the comparison, as Markdown, and their place in the docs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.benchmarks.fronts.faults import CASES
from tests.benchmarks.fronts.speed import SIZES

PAGE = Path(__file__).parents[3] / "docs/explanation/proxies-compared.md"
STORED = Path(__file__).with_name("results.json")
BEGIN, END = "<!-- results of tests/benchmarks/fronts -->\n", "<!-- end of results -->\n"
#: Failures that last longer after a fault are shown, in seconds.
_SOON = 0.3

Results = Mapping[str, Any]


def speed_table(results: Results) -> Iterator[str]:
    """Yield the lines of the table of throughput, latency and memory."""
    small, large = SIZES
    yield (
        "| | requests/s | of the same proxy alone | CPU time per request, µs | of the same proxy "
        "alone, by CPU time | the same with 16 kB | added latency, p50 / p99, ms | MiB |"
    )
    yield "|---|--:|--:|--:|--:|--:|--:|--:|"
    for name, found in results.items():
        if "sizes" not in found:
            continue
        figures, base = found["sizes"][small], results.get(found["base"])
        cells = [name, f"{figures['rate']:,.0f}", "", f"{figures['cpu_us']:.0f}", "", ""]
        if base is None:
            cells.append(f"({found['p50_ms']:.2f} / {found['p99_ms']:.2f})")
        else:
            cells[2] = f"{figures['rate_share']:.2f}"
            cells[4] = f"**{figures['cpu_share']:.2f}**"
            cells[5] = f"{found['sizes'][large]['cpu_share']:.2f}"
            added = [found[each] - base[each] for each in ("p50_ms", "p99_ms")]
            cells.append(" / ".join(f"{each:.2f}" for each in added))
        cells.append(f"{found['memory_mib']:.0f}")
        yield f"| {' | '.join(cells)} |"


def fault_table(results: Results) -> Iterator[str]:
    """Yield the lines of the table of faults; proxies with the same result share a line."""
    yield "| fault | proxies | failed requests | longest response, s |"
    yield "|---|---|---|--:|"
    for case, proxies in results.items():
        groups: dict[str, list[str]] = {}
        for name, found in proxies.items():
            groups.setdefault(_failures(found), []).append(name)
        title = CASES[case].title
        for text, names in groups.items():
            longest = max(proxies[name]["longest_s"] for name in names)
            yield f"| {title} | {', '.join(names)} | {text} | {longest:.1f} |"
            title = ""


def _failures(found: Results) -> str:
    """Return the failed requests as seconds of requests."""
    if "stale_s" in found:
        stale = found["stale_s"]
        if max(stale) < 1 / found["rate"]:
            return "rejected at once"
        if "403" not in found["failed"]:
            return "never rejected: it has no tenants"
        return f"used for {min(stale):.1f} to {max(stale):.1f} s more"
    parts = [
        f"{outcome} for {count / found['rate']:.0f} s"
        if count >= found["rate"]
        else f"{outcome} for less than 1 s"
        for outcome, count in found["failed"].items()
    ]
    if found["failed_after_s"] > _SOON:
        parts.append(f"until {found['failed_after_s']:.0f} s after the fault")
    return ", ".join(parts) or "none"


def section(results: Results) -> str:
    """Return the part of the docs that has the results."""
    lines = ["", *speed_table(results["speed"]), "", *fault_table(results["faults"]), ""]
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    memory = results["speed"]["the gateway"]["memory_mib"]
    lines.append(
        f"Measured on {results['date']} at commit `{results['commit']}` on {results['machine']}, "
        f"at a load average of {results['load']}, in {results['rounds']} rounds. "
        f"The gateway itself used {memory:.0f} MiB. Versions: {versions}."
    )
    return "\n".join([*lines, "", ""])


def replace_section(results: Results) -> None:
    """Store the results, and write them into the docs."""
    STORED.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}{section(results)}{END}{after}", encoding="utf-8")
