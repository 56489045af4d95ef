"""CPU affinity of processes, and facts about the machine."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path


def pin(core: int | None) -> None:
    """Pin this process to one core, if there are several and the system supports it."""
    if core is None or not hasattr(os, "sched_setaffinity"):
        return
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(0, {cores[core % len(cores)]})


def machine() -> str:
    """Return the conditions of a run: versions, cores, and the load before it."""
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    versions = ", ".join(f"{each} {metadata.version(each)}" for each in ("uvicorn", "httptools"))
    return (
        f"Python {platform.python_version()}, {versions}; {os.cpu_count()} cores, load before the "
        f"run {load} (1, 5, 15 minutes)."
    )


def resident(pid: int) -> float:
    """Return the resident memory of a process in MiB (``VmRSS``)."""
    with Path(f"/proc/{pid}/status").open(encoding="ascii") as status:
        found = next(line for line in status if line.startswith("VmRSS:"))
    return int(found.split()[1]) / 1024


def busy(pid: int) -> float:
    """Return the CPU time of a process in seconds (``utime`` and ``stime``)."""
    found = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(found[11]) + int(found[12])) / os.sysconf("SC_CLK_TCK")
