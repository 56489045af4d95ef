"""``grantway serve`` as a process, as a person would start it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.interop.program import STARTUP_SECONDS, Program

_READY = re.compile(r"grantway issuer listening on (http://127\.0\.0\.1:\d+)\n")


@contextmanager
def grantway_serve(*options: str) -> Iterator[str]:
    """Run the issuer on a free port of loopback.

    Args:
        options: Options of ``grantway serve``; without ``--database`` it keeps nothing.

    Yields:
        Its URL, when it answers.
    """
    kept = () if "--database" in options else ("--database", ":memory:")
    command = [sys.executable, "-m", "grantway_plugins.cli", "serve", "--port", "0"]
    with Program([*command, *kept, *options]) as program:
        line = program.read_line(STARTUP_SECONDS)
        ready = _READY.fullmatch(line)
        assert ready is not None, line
        yield ready[1]
        assert program.stop() == 0, program.errors()
