"""Reload the gateway's file when it changes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from grantway_plugins._file_signature import file_signature

#: Seconds between two checks whether a reload has set ``reload_every``.
_UNSET = 1.0

_log = logging.getLogger("grantway.gateway")


async def reload_on_change(
    path: Path, seconds: Callable[[], float | None], reload: Callable[[], Awaitable[object]]
) -> None:
    """Reload a file when its signature changes, until the task is cancelled.

    Args:
        path: The file.
        seconds: Returns the interval between two checks; None while there are none.
        reload: Reads the file again.
    """
    seen = await asyncio.to_thread(file_signature, path)
    while True:
        interval = seconds()
        await asyncio.sleep(_UNSET if interval is None else interval)
        if seconds() is None:
            continue
        signature = await asyncio.to_thread(file_signature, path)
        if signature != seen:
            seen = signature
            await reload()


def log_reload(path: Path, problem: str | None, *, again: bool = False) -> None:
    """Log the outcome of a reload.

    Args:
        path: The file.
        problem: Its mistakes, or None.
        again: Whether the reload is repeated, because workers are missing or failed.
    """
    if problem is None:
        _log.warning("Configuration reloaded: %s", path)
    elif again:
        _log.error("%s is not used by all workers yet, and is loaded again:\n%s", path, problem)
    else:
        _log.error("The new configuration is invalid; keeping the old one:\n%s", problem)
