"""Detection of programs that a test started and did not stop (Linux only)."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.processes import ENDED, children, is_running
from tests.waiting import until

_PR_SET_CHILD_SUBREAPER = 36
#: Seconds that a program may take to exit after its parent.
_PATIENCE = 5.0
#: A helper of `multiprocessing` that exits after its parent.
_HARMLESS = "multiprocessing.resource_tracker"


def adopt_orphans() -> None:
    """Adopt descendants whose parent exits, so that `end_all` finds them."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def commands() -> list[str]:
    """Return the commands of this process's children."""
    return [command for _, command in _children() if _HARMLESS not in command]


def end_all() -> list[str]:
    """Kill this process's descendants, and return their commands.

    After `adopt_orphans`, this includes the programs of workers that crashed or were killed.
    """
    with contextlib.suppress(AssertionError):
        until(lambda: not list(_children()), seconds=_PATIENCE)
    ended = []
    while left := list(_children()):  # killing a program makes its children ours
        for pid, command in left:
            ended.append(command)
            os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
    return ended


def _children() -> Iterator[tuple[int, str]]:
    """Yield the IDs and commands of this process's running children."""
    for pid in filter(is_running, children(os.getpid())):
        with contextlib.suppress(*ENDED):
            # A program that is just starting has no command line yet.
            files = (Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "stat"))
            command = next(filter(None, files))
            yield pid, command.replace(b"\0", b" ").decode(errors="replace").strip()
