"""``grantway serve`` as a process, started from the command line."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests import forked
from tests.interop.program import STARTUP_SECONDS, Program

_READY = re.compile(r"grantway issuer listening on (http://127\.0\.0\.1:\d+)\n")


@dataclass(frozen=True, slots=True)
class Serving:
    """A running issuer."""

    url: str
    pid: int


@contextmanager
def serving(
    *options: str, start: type[subprocess.Popen[Any]] = subprocess.Popen
) -> Iterator[Serving]:
    """Run the issuer on a free loopback port for the block, and check that it exits cleanly.

    Args:
        options: Options of ``grantway serve``. Without ``--database`` it stores data in memory.
        start: As for ``Program``.
    """
    kept = () if "--database" in options else ("--database", ":memory:")
    command = [sys.executable, "-m", "grantway_plugins.cli", "serve", "--port", "0"]
    with Program([*command, *kept, *options], start=start) as program:
        line = program.read_line(STARTUP_SECONDS)
        ready = _READY.fullmatch(line)
        assert ready is not None, line
        yield Serving(ready[1], program.pid)
        assert program.stop() == 0, program.errors()


@contextmanager
def grantway_serve(*options: str) -> Iterator[str]:
    """Run the issuer like `serving`, and yield its URL."""
    with serving(*options, start=forked.Popen) as running:
        yield running.url
