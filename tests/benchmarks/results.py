"""Stored results: where and when they were measured, and whether newer ones are worse."""

from __future__ import annotations

import datetime as dt
import json
import math
import os
import platform
import subprocess
from collections.abc import Callable, Collection, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from tests.benchmarks.measuring import OURS, Row

STORED = Path(__file__).with_name("results.json")
#: A ratio of more than this multiple of the stored one is worse.
LIMIT = 1.25
DISTRIBUTIONS = (
    "aiohttp",
    "Authlib",
    "boto3",
    "google-auth",
    "httpx2",
    "msal",
    "niquests",
    "pycurl",
    "pyreqwest",
    "requests",
    "requests-oauth2client",
    "requests-oauthlib",
    "urllib3",
)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor())


def _version(name: str) -> str | None:
    """Return the version of a distribution, or None if it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def check_environment() -> None:
    """Raise unless all peers are installed, and urllib3 is urllib3.

    The wheel of urllib3-future, which niquests requires, overwrites the files of urllib3. requests
    would then be measured on another library.

    Raises:
        SystemExit: The environment cannot be used.
    """
    how = "Follow CONTRIBUTING.md, 'Benchmarks'."
    if missing := [name for name in DISTRIBUTIONS if _version(name) is None]:
        raise SystemExit(f"Not installed: {', '.join(missing)}. {how}")
    import urllib3

    if urllib3.__version__ != metadata.version("urllib3"):
        raise SystemExit(f"urllib3-future has overwritten urllib3. {how}")


def environment() -> dict[str, Any]:
    """Return the machine, the commit, the date, and the versions of the libraries."""
    git = ["git", "-C", str(STORED.parent), "describe", "--always", "--dirty", "--abbrev=12"]
    return {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "commit": subprocess.check_output(git, text=True).strip(),
        "machine": f"{os.cpu_count()} cores, {_processor()}, {platform.system()}",
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in DISTRIBUTIONS},
    }


def dump(rows: Sequence[Row], measured: dict[str, Any]) -> str:
    """Return results as JSON."""
    members = {**measured, "rows": [row.to_json() for row in rows]}
    return json.dumps(members, indent=1) + "\n"


def load() -> tuple[list[Row], dict[str, Any]]:
    """Return the stored rows, and the environment in which they were measured."""
    members = json.loads(STORED.read_text(encoding="utf-8"))
    return [Row.from_json(row) for row in members.pop("rows")], members


def worse(stored: Sequence[Row], measured: Sequence[Row]) -> dict[str, str]:
    """Return the rows in which grantway's ratio is worse than the stored one, with the reason.

    A ratio is worse if even the first quartile of its rounds exceeds the limit. Other programs on
    the machine make single rounds slow, and a slower grantway makes all of them slow.
    """
    known = {row.name: row.cells[OURS].ratio for row in stored}
    found = {}
    for row in measured:
        cell, before = row.cells[OURS], known.get(row.name, math.inf)
        if cell.low > before * LIMIT:
            found[row.name] = (
                f"{row.name}: {cell.ratio:.3g} x {row.baseline}, first quartile {cell.low:.3g}; "
                f"stored: {before:.3g}"
            )
    return found


def regressions(
    stored: Sequence[Row], measure: Callable[[Collection[str]], Sequence[Row]]
) -> dict[str, str]:
    """Measure, and return the rows that are worse than the stored ones twice in a row.

    Args:
        stored: The stored rows.
        measure: Returns new results of the rows with these names. Only rows that were worse are
            measured again.
    """
    first = worse(stored, measure({row.name for row in stored}))
    second = worse(stored, measure(first)) if first else {}
    return {name: why for name, why in second.items() if name in first}
