"""Drive generators of steps: the rules are in a generator, and a driver performs the I/O."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeVar

Step = TypeVar("Step")
Result = TypeVar("Result")


def drive(steps: Generator[Step, Any, Result], perform: Callable[[Step], Any]) -> Result:
    """Perform the steps that a generator yields, and return its result.

    Every failure is raised again in the generator, including ``KeyboardInterrupt``, so that it can
    clean up.

    Args:
        steps: Yields steps, and receives their results.
        perform: Performs a step, and returns its result.
    """
    try:
        step = next(steps)
        while True:
            try:
                received = [perform(step)]
            except BaseException as error:  # noqa: BLE001 - raised again in the generator
                failure = error
            else:
                # Popped, because tools that print the locals of a traceback would show its secrets.
                step = steps.send(received.pop())
                continue
            # Outside the except block, so that it does not become the context of other errors.
            try:
                step = steps.throw(failure)
            finally:
                del failure  # its traceback refers to this frame
    except StopIteration as done:
        result: Result = done.value
        return result


async def drive_async(
    steps: Generator[Step, Any, Result], perform: Callable[[Step], Awaitable[Any]]
) -> Result:
    """Perform the steps in the running event loop, and return the result; see ``drive``.

    ``CancelledError`` is raised again in the generator like any other failure.
    """
    try:
        step = next(steps)
        while True:
            try:
                received = [await perform(step)]
            except BaseException as error:  # noqa: BLE001 - raised again in the generator
                failure = error
            else:
                step = steps.send(received.pop())
                continue
            try:
                step = steps.throw(failure)
            finally:
                del failure
    except StopIteration as done:
        result: Result = done.value
        return result
