"""The table of the comparison, as Markdown, and its place in the docs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.benchmarks.mcp_faults.bench import BAD, FAIR, GOOD
from tests.benchmarks.mcp_faults.scenarios import SECTIONS, title_of

PAGE = Path(__file__).parents[3] / "docs/explanation/mcp-clients-compared.md"
STORED = Path(__file__).with_name("results.json")
BEGIN = "<!-- results of tests/benchmarks/mcp_faults -->\n"
END = "<!-- end of results -->\n"

Results = Mapping[str, Any]


def summary(results: Results) -> Iterator[str]:
    """Yield the lines of a table with the number of each mark, by section and client."""
    outcomes = results["outcomes"]
    clients = list(next(iter(outcomes.values())))
    yield from ("", f"| | {' | '.join(clients)} |", "|---|" + "---|" * len(clients))
    for section, scenarios in SECTIONS.items():
        cells = []
        for client in clients:
            marks = Counter(outcomes[each.__name__][client]["mark"] for each in scenarios)
            cells.append(", ".join(f"{marks[m]} {m}" for m in (GOOD, FAIR, BAD) if marks[m]))
        if any(cells):
            link = section.lower().replace(" ", "-")
            yield f"| [{section}](#{link}) | {' | '.join(cells)} |"


def table(results: Results) -> Iterator[str]:
    """Yield the lines of the tables, one table for each section."""
    outcomes = results["outcomes"]
    for section, scenarios in SECTIONS.items():
        found = {each: outcomes[each.__name__] for each in scenarios if each.__name__ in outcomes}
        if not found:
            continue
        clients = list(next(iter(found.values())))
        yield from ("", f"### {section}", "")
        yield f"| | {' | '.join(clients)} |"
        yield "|---|" + "---|" * len(clients)
        for scenario, cells in found.items():
            shown = (_cell(cells[client]) for client in clients)
            yield f"| {title_of(scenario)} | {' | '.join(shown)} |"


def _cell(outcome: Results) -> str:
    return f"{outcome['mark']} {outcome['text']}".strip()


def section(results: Results) -> str:
    """Return the part of the docs that has the results."""
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    where = (
        f"Measured on {results['date']} at commit `{results['commit']}` on {results['machine']}, "
        f"with Python {results['python']} and {versions}."
    )
    return "\n".join([*summary(results), *table(results), "", where, "", ""])


def replace_section(results: Results) -> None:
    """Store the results, and write them into the docs."""
    STORED.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}{section(results)}{END}{after}", encoding="utf-8")
