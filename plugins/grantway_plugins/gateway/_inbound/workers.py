"""A thread pool with a bounded queue, for blocking calls."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, TypeVar

from grantway._types.quantity import check_count

T = TypeVar("T")


class QueueFullError(Exception):
    """All threads are busy and the queue is full."""


class Workers:
    """Runs calls in threads, for event loops that must not block.

    Args:
        threads: Largest number of concurrent calls. Threads start when they are needed.
        waiting: Largest number of calls that wait for a thread; more are rejected.

    Raises:
        ConfigurationError: An argument is invalid; the error names it.
    """

    def __init__(self, threads: int, waiting: int) -> None:
        check_count("threads", threads)
        check_count("waiting", waiting, least=0)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="grantway-gateway")
        self._limit = threads + waiting
        self._calls = 0
        self._counting = threading.Lock()

    async def run(self, call: Callable[[], T]) -> T:
        """Run a call in a thread, with the caller's context variables.

        A running call keeps its thread until it returns, even if its caller was cancelled.

        Raises:
            QueueFullError: The call was not started.
        """
        with self._counting:
            if self._calls >= self._limit:
                raise QueueFullError
            self._calls += 1
        try:
            future = self._threads.submit(copy_context().run, call)
        except BaseException:
            self._finished()
            raise
        future.add_done_callback(self._finished)
        return await asyncio.wrap_future(future)

    def _finished(self, _future: Any = None) -> None:
        with self._counting:
            self._calls -= 1
