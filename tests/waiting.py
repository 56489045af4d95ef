"""Waiting for a result of another thread or process."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from typing import TypeVar

#: Timeout in seconds for operations that are fast except on a busy machine.
PATIENCE = 60.0
_PAUSE = 0.02

Found = TypeVar("Found")


def until(
    look: Callable[[], Found],
    holds: Callable[[Found], object] = bool,
    *,
    seconds: float = PATIENCE,
) -> Found:
    """Call ``look`` repeatedly until ``holds`` accepts its result, and return the result.

    Raises:
        AssertionError: No result was accepted in time; quotes the last one.
    """
    deadline = time.monotonic() + seconds
    while not holds(found := look()):
        assert time.monotonic() < deadline, f"after {seconds:g} s it is still {found!r}"
        time.sleep(_PAUSE)
    return found


def interrupt(program: subprocess.Popen[str]) -> tuple[str, str]:
    """Press Ctrl-C until a program ends, as a user does, and return the rest of its output.

    Python loses a Ctrl-C that arrives while it runs the callback of a weak reference.

    Raises:
        subprocess.TimeoutExpired: The program does not end.
    """
    for _ in range(5):
        program.send_signal(signal.SIGINT)
        try:
            return program.communicate(timeout=PATIENCE / 6)
        except subprocess.TimeoutExpired:
            continue
    program.send_signal(signal.SIGINT)
    return program.communicate(timeout=PATIENCE / 6)
