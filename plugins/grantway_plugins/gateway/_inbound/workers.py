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
    """All threads are busy, and as many calls wait as may."""


class Workers:
    """Runs calls in threads, for event loops that must not block.

    Args:
        threads: Calls at once. A thread begins when it is needed.
        waiting: Calls that may wait for a thread; one more is refused.

    Raises:
        ConfigurationError: names the argument that cannot work.
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

        Once it runs it goes on and keeps its thread, even where nobody waits for it any more.

        Raises:
            Full: it was not run, and nothing of it was done.
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
