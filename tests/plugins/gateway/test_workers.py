"""The thread pool for blocking calls, with limits for threads and queue."""

from __future__ import annotations

import asyncio
import threading
from contextvars import ContextVar

import pytest

from grantway_plugins.gateway._inbound.workers import QueueFullError, Workers


def test_a_cancelled_wait_frees_its_place() -> None:
    workers = Workers(1, 1)
    began, goes_on = threading.Event(), threading.Event()

    def block() -> str:
        began.set()
        assert goes_on.wait(20)
        return "done"

    async def run() -> None:
        first = asyncio.create_task(workers.run(block))
        assert await asyncio.to_thread(began.wait, 10)
        waits = asyncio.create_task(workers.run(lambda: "never run"))
        await asyncio.sleep(0)
        with pytest.raises(QueueFullError):
            await workers.run(lambda: "turned away")
        waits.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waits
        second = asyncio.create_task(workers.run(lambda: "after"))
        await asyncio.sleep(0)
        goes_on.set()
        assert await first == "done"
        assert await second == "after"

    asyncio.run(run())


def test_a_running_call_keeps_its_thread_after_cancellation() -> None:
    workers = Workers(1, 0)
    began, goes_on, ended = threading.Event(), threading.Event(), threading.Event()

    def block() -> None:
        began.set()
        assert goes_on.wait(20)
        ended.set()

    async def run() -> None:
        task = asyncio.create_task(workers.run(block))
        assert await asyncio.to_thread(began.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(QueueFullError):
            await workers.run(lambda: None)
        goes_on.set()
        assert await asyncio.to_thread(ended.wait, 10)

    asyncio.run(run())


def test_an_exception_propagates_and_frees_the_place() -> None:
    workers = Workers(1, 0)

    def fail() -> None:
        raise LookupError

    async def run() -> None:
        for _ in range(3):
            with pytest.raises(LookupError):
                await workers.run(fail)

    asyncio.run(run())


def test_works_across_event_loops_and_keeps_the_context() -> None:
    workers = Workers(1, 1)
    tenant: ContextVar[str] = ContextVar("tenant")
    for name in ("a", "b"):
        tenant.set(name)
        assert asyncio.run(workers.run(tenant.get)) == name
