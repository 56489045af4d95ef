"""Handle signals in an event loop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress


def on_signal(name: str, act: Callable[[], object]) -> None:
    """Call a function in the running event loop when the process gets a signal.

    Does nothing where signals cannot be handled: Windows has no SIGHUP, and its event loops handle
    no signals.

    Args:
        name: Name of the signal, like ``SIGTERM``.
        act: The function.
    """
    number = getattr(signal, name, None)
    if number is not None:
        with suppress(NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(number, act)
