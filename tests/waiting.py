"""Waiting for something that another thread or process does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

#: Seconds that a busy machine may need for anything that takes no time otherwise.
PATIENCE = 60.0
_PAUSE = 0.02

Found = TypeVar("Found")


def until(
    look: Callable[[], Found],
    holds: Callable[[Found], object] = bool,
    *,
    seconds: float = PATIENCE,
) -> Found:
    """Look again and again until what was found holds, and return it.

    Raises:
        AssertionError: It did not hold in time; the message quotes what was found last.
    """
    deadline = time.monotonic() + seconds
    while not holds(found := look()):
        assert time.monotonic() < deadline, f"after {seconds:g} s it is still {found!r}"
        time.sleep(_PAUSE)
    return found
