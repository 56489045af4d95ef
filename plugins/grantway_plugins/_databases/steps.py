"""Operations of a store as generators, which run in a thread or on an event loop."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeVar

Result = TypeVar("Result")

#: Yields commands for the store's server and waits, and receives the results. Returns a result.
Steps = Generator[Any, Any, Result]


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait for some seconds. The generator ends if it receives True."""

    seconds: float


def run(
    steps: Steps[Result],
    perform: Callable[[Any], Any],
    wait: Callable[[float], Any] = time.sleep,
) -> Result:
    """Do the steps of a generator in this thread, and return its result.

    Args:
        steps: The generator.
        perform: Sends a command and returns the result.
        wait: Waits for some seconds.
    """
    received: Any = None
    while True:
        try:
            step = steps.send(received)
        except StopIteration as done:
            result: Result = done.value
            return result
        received = wait(step.seconds) if isinstance(step, Wait) else perform(step)


async def run_async(steps: Steps[Result], perform: Callable[[Any], Awaitable[Any]]) -> Result:
    """Do the steps of a generator on the event loop, and return its result."""
    import asyncio  # noqa: PLC0415 - not needed without an event loop

    received: Any = None
    while True:
        try:
            step = steps.send(received)
        except StopIteration as done:
            result: Result = done.value
            return result
        received = await (asyncio.sleep(step.seconds) if isinstance(step, Wait) else perform(step))
