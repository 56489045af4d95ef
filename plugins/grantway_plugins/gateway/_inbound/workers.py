"""Threads for calls that block, so many at once and so many waiting, and no more."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, TypeVar

from grantway._types.quantity import check_count

T = TypeVar("T")


class Full(Exception):  # noqa: N818 - nothing has failed
    """All threads are busy and the waiting line is full."""


class Workers:
    """Runs calls in threads, for event loops that must not block.

    Args:
        threads: Most concurrent calls. A thread starts when it is needed.
        waiting: Most calls that wait for a thread; more are rejected.

    Raises:
        ConfigurationError: An argument is invalid; names it.
    """

    def __init__(self, threads: int, waiting: int) -> None:
        check_count("threads", threads)
        check_count("waiting", waiting, least=0)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="grantway-gateway")
        self._most = threads + waiting
        self._calls = 0
        self._counting = threading.Lock()

    async def run(self, call: Callable[[], T]) -> T:
        """Run a call in a thread, with the caller's context variables.

        A running call keeps its thread until it ends, even if its caller is gone.

        Raises:
            Full: The call was not started.
        """
        with self._counting:
            if self._calls >= self._most:
                raise Full
            self._calls += 1
        try:
            future = self._threads.submit(copy_context().run, call)
        except BaseException:
            self._ended()
            raise
        future.add_done_callback(self._ended)
        return await asyncio.wrap_future(future)

    def _ended(self, _future: Any = None) -> None:
        with self._counting:
            self._calls -= 1
