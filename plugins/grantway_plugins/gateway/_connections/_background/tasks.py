"""Tasks in the background, limited in number and rate."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

from grantway._processes.copies import OneProcess

#: Seconds of waiting tasks that are accepted, so that claimed work starts long before its lease
#: ends.
_BACKLOG = 2.0
#: Seconds for which running tasks may end when they are stopped. They may hold a new token.
_LAST = 3.0


class Tasks(OneProcess):
    """Runs tasks; at most a number at once, and at most a number per second are accepted.

    Args:
        rate: Maximum number of tasks per second.
        at_once: Maximum number of tasks that run at once; further ones wait.
    """

    def __init__(self, rate: float, at_once: int) -> None:
        self._rate = rate
        self._running = asyncio.Semaphore(at_once)
        self._most = max(at_once, int(_BACKLOG * rate))
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._allowed, self._at = 0.0, time.monotonic()

    def free(self) -> int:
        """Return how many tasks may be started now."""
        now = time.monotonic()
        self._allowed = min(self._most, self._allowed + (now - self._at) * self._rate)
        self._at = now
        return max(0, min(int(self._allowed), self._most - len(self._tasks)))

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Start a task. It must handle its errors."""
        self._allowed -= 1
        task = asyncio.create_task(self._run(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Let running tasks end for some seconds, then cancel them; do not start waiting ones."""
        self._stopping = True
        tasks = [*self._tasks]
        if tasks:
            await asyncio.wait(tasks, timeout=_LAST)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            async with self._running:
                if not self._stopping:
                    await work
        finally:
            work.close()  # if it was cancelled before it began
