"""Perform the steps of a call, in the calling thread or in the running event loop.

Only waits and threads import asyncio, which blocking programs do not need.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from grantway._processes.driving import drive, drive_async

from .steps import Result, Wait

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from grantway._transport.deadline import Deadline
    from grantway._transport.http import HttpRequest, HttpResponse, Transport

    from .steps import Steps


def run(steps: Steps[Result], transport: Transport, deadline: Deadline) -> Result:
    """Send the requests and wait, and return the result of the steps."""

    def perform(step: HttpRequest | Wait) -> HttpResponse | bool:
        if isinstance(step, Wait):
            return deadline.wait(step.seconds, step.until)
        return transport.send(step, deadline)

    return drive(steps, perform)


async def run_async(steps: Steps[Result], transport: Transport, deadline: Deadline) -> Result:
    """Send the requests and wait, and return the result of the steps; see ``run``."""

    def perform(step: HttpRequest | Wait) -> Awaitable[HttpResponse | bool]:
        if isinstance(step, Wait):
            return wait(step, deadline)
        return _send(transport, step, deadline)

    return await drive_async(steps, perform)


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
