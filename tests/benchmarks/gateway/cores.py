"""Which core a process runs on, and how busy the machine is otherwise."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path


def pin(core: int | None) -> None:
    """Run on one core, where there are several and the system lets us."""
    if core is None or not hasattr(os, "sched_setaffinity"):
        return
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(0, {cores[core % len(cores)]})


def machine() -> str:
    """What a figure is to be read with: versions, cores, and the load before the run."""
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    versions = ", ".join(f"{each} {metadata.version(each)}" for each in ("uvicorn", "aiohttp"))
    return (
        f"Python {platform.python_version()}, {versions}; {os.cpu_count()} cores, load before the "
        f"run {load} (1, 5, 15 minutes)."
    )


def resident(pid: int) -> float:
    """MiB of memory that a process holds (``VmRSS``)."""
    with Path(f"/proc/{pid}/status").open(encoding="ascii") as status:
        found = next(line for line in status if line.startswith("VmRSS:"))
    return int(found.split()[1]) / 1024


def busy(pid: int) -> float:
    """Seconds for which a process has had a core (``utime`` and ``stime``)."""
    found = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(found[11]) + int(found[12])) / os.sysconf("SC_CLK_TCK")
