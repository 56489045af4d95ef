"""Perform the steps of a call, in the calling thread or in the running event loop.

Only waits and threads import asyncio, which blocking programs do not need.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from .steps import Result, Wait

if TYPE_CHECKING:
    from grantway._transport.deadline import Deadline
    from grantway._transport.http import HttpRequest, HttpResponse, Transport

    from .steps import Steps


def run(steps: Steps[Result], transport: Transport, deadline: Deadline) -> Result:
    """Send the requests and wait, and return the result of the steps.

    Every failure is raised again in the generator, including ``KeyboardInterrupt``, so that
    middleware can clean up.
    """
    try:
        step = next(steps)
        while True:
            received: HttpResponse | bool
            try:
                if isinstance(step, Wait):
                    received = deadline.wait(step.seconds, step.until)
                else:
                    received = transport.send(step, deadline)
            except BaseException as error:  # noqa: BLE001 - raised again in the generator
                failure = error
            else:
                step = steps.send(received)
                continue
            # Outside the except block, so that it does not become the context of other errors.
            try:
                step = steps.throw(failure)
            finally:
                del failure  # its traceback refers to this frame
    except StopIteration as done:
        result: Result = done.value
        return result


async def run_async(steps: Steps[Result], transport: Transport, deadline: Deadline) -> Result:
    """Send the requests and wait, and return the result of the steps; see ``run``.

    ``CancelledError`` is raised again in the generator like any other failure.
    """
    try:
        step = next(steps)
        while True:
            received: HttpResponse | bool
            try:
                if isinstance(step, Wait):
                    received = await wait(step, deadline)
                else:
                    received = await _send(transport, step, deadline)
            except BaseException as error:  # noqa: BLE001 - raised again in the generator
                failure = error
            else:
                step = steps.send(received)
                continue
            try:
                step = steps.throw(failure)
            finally:
                del failure
    except StopIteration as done:
        result: Result = done.value
        return result


async def _send(transport: Transport, request: HttpRequest, deadline: Deadline) -> HttpResponse:
    """Send a request, in a thread if the transport has no ``send_async``."""
    send_async = getattr(transport, "send_async", None)
    if send_async is None:
        from grantway._processes.threads import in_thread  # noqa: PLC0415

        return await in_thread(transport.send, request, deadline)
    response: HttpResponse = await send_async(request, deadline)
    return response


async def wait(step: Wait, deadline: Deadline) -> bool:
    """Wait. Return False, since asynchronous callers cancel their task instead."""
    import asyncio  # noqa: PLC0415

    pause = deadline.pause(step.seconds)
    if step.until is None:
        await asyncio.sleep(pause)
        return False
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    def wake(_until: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(ended.set)

    step.until.add_done_callback(wake)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(ended.wait(), pause)
    return False
