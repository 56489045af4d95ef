"""Blocking calls from an event loop."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Self, TypeVar

Result = TypeVar("Result")


class CallThread:
    """A thread for the blocking calls of one block; it starts with the first call.

    The loop's default executor is not used: the program's calls may fill it and wait for the token
    that is being refreshed.
    """

    def __init__(self) -> None:
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - not needed without a loop

        self._executor = ThreadPoolExecutor(1, "grantway-blocking")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._executor.shutdown(wait=False)

    def submit(self, function: Callable[..., Result], *arguments: Any) -> Future[Result]:
        """Start a call after the earlier ones, without waiting for it."""
        return self._executor.submit(contextvars.copy_context().run, function, *arguments)

    async def run(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Wait for a call. Cancelling the wait does not cancel a call that has started."""
        import asyncio  # noqa: PLC0415 - not needed without an event loop

        return await asyncio.wrap_future(self.submit(function, *arguments))


async def in_thread(function: Callable[..., Result], *arguments: Any) -> Result:
    """Wait for a blocking call in a new thread."""
    with CallThread() as thread:
        return await thread.run(function, *arguments)
