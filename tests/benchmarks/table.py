"""The table of all results, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks import cached_token, fresh_process, one_expiry, round_trip
from tests.benchmarks.measuring import OURS, Row
from tests.benchmarks.peers import http_clients, oauth_clients

PAGE = Path(__file__).parents[2] / "docs/explanation/performance.md"
BEGIN, END = "<!-- results of tests/benchmarks -->\n", "<!-- end of results -->\n"
#: Heading and baseline of each column, by row.
COLUMNS = {
    round_trip.SYNC: ("Round trip", "requests"),
    round_trip.ASYNC: ("Async round trip", "requests, blocking"),
    fresh_process.FIRST: ("First token", "`import requests`"),
    cached_token.NAME: ("Cached token", "comparing a clock"),
    one_expiry.NAME: ("1,000 tasks", "aiohttp"),
    fresh_process.MEMORY: ("Memory", "requests"),
}
BLOCKING = "It is blocking only."
ASYNCHRONOUS = "It is asynchronous only."
NO_TOKENS = "It keeps no tokens."
PRIVATE = "Only private modules of it refresh on an event loop."
NOT_MEASURED = "Not measured in this run."


def _reason(row: str, peer: str) -> str:
    """Return why there is no result of a peer in a row."""
    if row == cached_token.NAME and peer not in cached_token.PEERS:
        return NO_TOKENS
    if row == round_trip.SYNC and peer in http_clients.ASYNC and peer not in http_clients.SYNC:
        return ASYNCHRONOUS
    awaited = {**oauth_clients.ASYNC, **http_clients.ASYNC}
    if row in {round_trip.ASYNC, one_expiry.NAME} and peer not in awaited:
        return PRIVATE if peer == "google-auth" else BLOCKING
    return NOT_MEASURED


def _number(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}"


def _peers() -> list[str]:
    """Return all peers: OAuth libraries first, then HTTP clients."""
    return list(oauth_clients.SYNC | http_clients.SYNC | http_clients.ASYNC)


def render(rows: Sequence[Row]) -> str:
    """Return the table. The lowest ratio of an OAuth library in a column is bold."""
    found = {row.name: row for row in rows}
    columns = {name: heading for name, heading in COLUMNS.items() if name in found}
    best = {
        name: min(cell.ratio for peer, cell in found[name].cells.items() if peer in oauth)
        for oauth in [oauth_clients.SYNC]
        for name in columns
    }
    reasons: list[str] = []
    lines = [
        "| | " + " | ".join(heading for heading, _ in columns.values()) + " |",
        "|---" * (len(columns) + 1) + "|",
        "| multiple of | " + " | ".join(baseline for _, baseline in columns.values()) + " |",
    ]
    for peer in _peers():
        if not any(peer in found[name].cells for name in columns):
            continue
        line = [peer]
        for name in columns:
            cell = found[name].cells.get(peer)
            if cell is None:
                reason = _reason(name, peer)
                if reason not in reasons:
                    reasons.append(reason)
                line.append(f"- ({reasons.index(reason) + 1})")
            elif peer in oauth_clients.SYNC and _number(cell.ratio) == _number(best[name]):
                line.append(f"**{_number(cell.ratio)}**")
            else:
                line.append(_number(cell.ratio))
        lines.append("| " + " | ".join(line) + " |")
    notes = [f"- ({number}) {reason}" for number, reason in enumerate(reasons, 1)]
    if fresh_process.HELP in found:
        ratio = found[fresh_process.HELP].cells[OURS].ratio
        notes.append(f"- `grantway --help`: {ratio:.2f} times a bare interpreter.")
    return "\n".join([*lines, "", *notes]).strip() + "\n"


def section(rows: Sequence[Row], measured: Mapping[str, Any]) -> str:
    """Return the part of the docs that has the results."""
    versions = ", ".join(f"{name} {version}" for name, version in measured["versions"].items())
    return (
        f"{render(rows)}\n"
        f"Measured on {measured['date']} at commit `{measured['commit']}` with Python "
        f"{measured['python']} on {measured['machine']}, at a load average of {measured['load']}. "
        f"Versions: {versions}.\n"
    )


def replace_section(rows: Sequence[Row], measured: Mapping[str, Any]) -> None:
    """Write the results into the docs."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    text = f"{before}{BEGIN}\n{section(rows, measured)}\n{END}{after}"
    PAGE.write_text(text, encoding="utf-8")
