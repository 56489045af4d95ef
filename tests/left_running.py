"""Programs that a test started and did not end, found where the system lists processes (Linux)."""

from __future__ import annotations

import contextlib
import os
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

from tests.waiting import until

#: Names the test run in the environment of every process that it starts.
_RUN = "GRANTWAY_TEST_RUN"
#: Seconds that a program has to end after the process that started it.
_PATIENCE = 5.0
#: Ends by itself, after the process that it watches.
_HARMLESS = "multiprocessing.resource_tracker"


def children() -> list[str]:
    """Return the commands of this process's children."""
    return [
        command
        for listed in Path("/proc/self/task").glob("*/children")
        for pid in listed.read_text().split()
        if (command := _command(int(pid))) and _HARMLESS not in command
    ]


def mark_run() -> None:
    """Mark this process's environment, so that `end_run` finds every process that inherits it."""
    os.environ[_RUN] = uuid.uuid4().hex


def end_run() -> list[str]:
    """Kill every process of the marked run but this one, and return their commands.

    This finds the programs of a worker that crashed or was killed, too.
    """
    with contextlib.suppress(AssertionError):
        until(lambda: not dict(_processes_of_run()), seconds=_PATIENCE)
    left = dict(_processes_of_run())
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return list(left.values())


def _processes_of_run() -> Iterator[tuple[int, str]]:
    mark = f"{_RUN}={os.environ[_RUN]}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        pid = int(folder.name)
        try:
            variables = (folder / "environ").read_bytes().split(b"\0")
        except OSError:  # it has ended, or is another user's
            continue
        if pid != os.getpid() and mark in variables and (command := _command(pid)):
            yield pid, command


def _command(pid: int) -> str:
    """Return a process's command; empty if it has ended."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return ""
    return command.replace(b"\0", b" ").decode(errors="replace").strip()
