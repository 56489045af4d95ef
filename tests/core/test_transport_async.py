"""Requests of the transport in an event loop."""

from __future__ import annotations

import asyncio
import threading
import traceback

import pytest

from grantway import HttpTransport
from grantway._transport.deadline import Deadline
from grantway._transport.event_loop import LoopStream
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


SECRET = "rt-very-secret-0123456789"


def partial(stage: faults.Stage) -> bool:
    """Send half a response with a secret, then nothing."""
    stage.read_request()
    stage.send(faults.message(200, SECRET.encode(), {"X-Token": SECRET}, length=500))
    stage.server.closed.set()
    stage.wait_for_client()
    return False


def unread(stage: faults.Stage) -> bool:
    """Read nothing."""
    stage.server.closed.set()
    stage.server.stopped.wait(PATIENCE)
    return False


@pytest.mark.parametrize("act", [partial, unread], ids=["response", "request"])
def test_a_cancelled_request_shows_no_secret(act: faults.Act) -> None:
    transport = HttpTransport(proxies={})

    async def use() -> str:
        body = SECRET.encode() * (1 if act is partial else 500_000)
        request = HttpRequest("POST", server.token_endpoint, {"X-Token": SECRET}, body)
        del body
        task = asyncio.ensure_future(transport.send_async(request, Deadline(PATIENCE)))
        await asyncio.to_thread(server.closed.wait, PATIENCE)
        await asyncio.sleep(0.02)  # until the task has used what arrived
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
        return "".join(shown.format())

    with FaultServer(act) as server:
        shown = asyncio.run(use())
    transport.close()
    assert "_exchange" in shown
    assert SECRET not in shown


def echo(stage: faults.Stage) -> bool:
    """Respond with the body of the request, in two parts."""
    received = stage.read_request()
    if received is None:
        return False
    head, _, body = faults.message(200, received.body).partition(b"\r\n\r\n")
    stage.send(head + b"\r\n\r\n" + body[:3])
    stage.send(body[3:])
    return True


def test_tasks_cancelled_at_any_point_never_get_the_response_of_another() -> None:
    transport = HttpTransport(pool_size=4)

    async def ask(server: FaultServer, number: int) -> None:
        body = f"number={number:05}".encode()
        request = HttpRequest("POST", server.token_endpoint, {}, body)
        assert (await transport.send_async(request, Deadline(PATIENCE))).body == body

    async def use(server: FaultServer) -> int:
        finished = 0
        for start in range(0, 240, 8):
            tasks = [asyncio.ensure_future(ask(server, start + each)) for each in range(8)]
            for turns, task in enumerate(tasks[:6]):
                for _ in range(turns):
                    await asyncio.sleep(0)
                if turns > 2:
                    await asyncio.wait(tasks, timeout=0.0003 * turns)
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert {type(each) for each in results} <= {type(None), asyncio.CancelledError}
            finished += results.count(None)
        return finished

    with FaultServer(echo) as server:
        finished = asyncio.run(use(server))
    assert 60 <= finished < 240  # some were cancelled, and two of each eight never are
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


def test_connections_of_closed_loops_are_closed() -> None:
    transport = HttpTransport()
    with FaultServer(faults.respond()) as server:
        first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
        first.run_until_complete(post(transport, server))
        (idle,) = transport._connections._of_loops.values()
        (streams,) = idle._by_key.values()
        ((stream, _),) = streams
        first.close()
        second.run_until_complete(post(transport, server))
        second.close()
        assert isinstance(stream, LoopStream)
        assert stream.sock.fileno() == -1
    transport.close()


def test_cancelling_a_connection_through_a_socks_proxy_closes_it() -> None:
    """PySocks goes on connecting in its thread."""
    asked, cancelled, closed = threading.Event(), threading.Event(), threading.Event()

    def slow(stage: faults.Stage) -> bool:
        stage.sock.recv(100)
        asked.set()
        assert cancelled.wait(PATIENCE)
        stage.send(b"\5\0")
        stage.sock.recv(100)
        stage.send(b"\5\0\0\1" + bytes(6))
        if stage.sock.recv(100) == b"":
            closed.set()
        return False

    async def use(port: int) -> None:
        transport = HttpTransport(proxies=f"socks5://127.0.0.1:{port}", trust_env=False)
        request = HttpRequest("POST", "http://127.0.0.1:9", {}, b"a=b")
        task = asyncio.ensure_future(transport.send_async(request, Deadline(PATIENCE)))
        await asyncio.to_thread(asked.wait, PATIENCE)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        cancelled.set()
        await asyncio.to_thread(closed.wait, PATIENCE)

    with FaultServer(slow) as proxy:
        asyncio.run(use(proxy.port))
    assert closed.is_set()


def test_a_blocked_task_does_not_block_others() -> None:
    transport = HttpTransport(read_timeout=PATIENCE)

    async def use(slow: FaultServer, quick: FaultServer) -> None:
        waiting = asyncio.ensure_future(post(transport, slow))
        assert (await post(transport, quick)).status == 200
        assert not waiting.done()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
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
