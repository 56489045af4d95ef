"""Serve listeners for the duration of a block."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from .listener import Listener


@asynccontextmanager
async def serving(
    *listeners: Listener,
    stop: asyncio.Event | None = None,
    beside: Callable[[], Awaitable[None]] | None = None,
) -> AsyncIterator[None]:
    """Serve listeners, which are ready when the block begins.

    At its end, they stop accepting connections and finish the requests in progress.

    Args:
        listeners: The listeners.
        stop: Set if a listener ends before the block.
        beside: Stops something else while the listeners finish their requests.
    """
    ended = stop or asyncio.Event()
    waiting = len(listeners)
    ready = asyncio.Event()

    def count() -> None:
        nonlocal waiting
        waiting -= 1
        if not waiting:
            ready.set()

    def end(_task: asyncio.Task[None]) -> None:
        ended.set()
        ready.set()

    tasks = [asyncio.create_task(each.listen(count)) for each in listeners]
    for each in tasks:
        each.add_done_callback(end)
    try:
        await ready.wait()
        yield
    finally:
        for listener in listeners:
            listener.stop()
        others = [] if beside is None else [beside()]
        await asyncio.gather(*others, *tasks)
