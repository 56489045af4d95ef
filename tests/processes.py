"""The processes of this machine, as Linux reports them."""

from __future__ import annotations

import contextlib
from pathlib import Path

#: Errors for a file of a thread or process that has ended, even since the file was opened.
ENDED = (FileNotFoundError, ProcessLookupError)


def is_running(pid: int) -> bool:
    """Return whether a process has not ended; a zombie that waits for its parent has."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except ENDED:
        return False
    return stat.rpartition(") ")[2][0] not in "ZX"


def children(pid: int) -> list[int]:
    """Return the process IDs of a process's children, including zombies."""
    found: list[int] = []
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(*ENDED):
            found += map(int, listed.read_text().split())
    return sorted(found)
