"""Waiting for a result of another thread or process."""

from __future__ import annotations

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
