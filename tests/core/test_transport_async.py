"""Requests of the transport in an event loop."""

from __future__ import annotations

import asyncio
import threading

import pytest

from grantway import HttpTransport
from grantway._exceptions import OutcomeUnknownError
from grantway._transport.deadline import Deadline
from grantway._transport.http import HttpRequest, HttpResponse
from tests import faults
from tests.faults import FaultServer
from tests.waiting import PATIENCE, until


async def post(transport: HttpTransport, server: FaultServer) -> HttpResponse:
    return await transport.send_async(
        HttpRequest("POST", f"{server.url}/token", {}, b"a=b"), Deadline(PATIENCE)
    )


async def cancelled(transport: HttpTransport, server: FaultServer) -> None:
    """Cancel a request after the server has received it."""
    task = asyncio.ensure_future(post(transport, server))
    await asyncio.to_thread(until, lambda: server.requests)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_cancelling_closes_the_connection() -> None:
    transport = HttpTransport()

    async def use(server: FaultServer) -> None:
        await cancelled(transport, server)
        assert (await post(transport, server)).body == b"second"

    with FaultServer(faults.stall_body, faults.respond(200, b"second")) as server:
        asyncio.run(use(server))
        assert (len(server.requests), server.connections) == (2, 2)
    transport.close()


def test_each_loop_has_its_own_connections() -> None:
    transport = HttpTransport()

    async def twice(server: FaultServer) -> None:
        for _ in range(2):
            assert (await post(transport, server)).status == 200

    with FaultServer(faults.respond()) as server:
        for _ in range(2):
            asyncio.run(twice(server))
        transport.send(HttpRequest("POST", f"{server.url}/token", {}, b"a=b"), Deadline(5))
        assert server.connections == 3
        # The idle connections of the closed loops can be closed without them.
        transport.close()


def test_a_blocked_task_does_not_block_others() -> None:
    transport = HttpTransport(read_timeout=0.2)

    async def use(slow: FaultServer, quick: FaultServer) -> None:
        waiting = asyncio.ensure_future(post(transport, slow))
        assert (await post(transport, quick)).status == 200
        assert not waiting.done()
        with pytest.raises(OutcomeUnknownError, match="timed out"):
            await waiting

    with FaultServer(faults.stall) as slow, FaultServer(faults.respond()) as quick:
        asyncio.run(use(slow, quick))
    transport.close()


def test_starts_no_thread_for_an_address() -> None:
    transport = HttpTransport()

    async def use(server: FaultServer) -> None:
        before = set(threading.enumerate())
        await asyncio.gather(*(post(transport, server) for _ in range(20)))
        started = set(threading.enumerate()) - before
        assert not [thread for thread in started if "asyncio" in thread.name]

    with FaultServer(faults.respond()) as server:
        asyncio.run(use(server))
    transport.close()
