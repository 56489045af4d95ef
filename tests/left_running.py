"""Programs that a test started and did not end, found where the system lists them (Linux)."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.waiting import until

_PR_SET_CHILD_SUBREAPER = 36
#: Seconds that a program has to end after the process that started it.
_PATIENCE = 5.0
#: Ends by itself, after the process that it watches.
_HARMLESS = "multiprocessing.resource_tracker"


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends, so that `end_all` finds it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def commands() -> list[str]:
    """Return the commands of this process's children."""
    return [command for _, command in _children() if _HARMLESS not in command]


def end_all() -> list[str]:
    """Kill this process's descendants, and return their commands.

    With `adopt_orphans` this finds the programs of a worker that crashed or was killed, too.
    """
    with contextlib.suppress(AssertionError):
        until(lambda: not list(_children()), seconds=_PATIENCE)
    ended = []
    while left := list(_children()):  # a killed program's children come here
        for pid, command in left:
            ended.append(command)
            os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
    return ended


def _children() -> Iterator[tuple[int, str]]:
    """Yield the ids and commands of this process's children that have not ended."""
    for listed in Path("/proc/self/task").glob("*/children"):
        for pid in listed.read_text().split():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
                # A zombie has ended. A program that is about to start has no command line yet.
                if stat.rpartition(") ")[2][0] not in "ZX":
                    command = Path(f"/proc/{pid}/cmdline").read_bytes() or stat.encode()
                    yield int(pid), command.replace(b"\0", b" ").decode(errors="replace").strip()
