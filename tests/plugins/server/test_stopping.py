"""A listener stops as soon as its requests in progress are finished."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

from grantway_plugins.server._listening.address import listen
from grantway_plugins.server._listening.limits import Limits
from grantway_plugins.server._listening.listener import Listener
from tests.plugins.server.listening import connect, echo, listening
from tests.raw_http import read_response
from tests.waiting import PATIENCE

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def seconds_to_stop() -> float:
    """Return how long a listener with an idle connection takes to stop."""
    with listening(echo) as port, connect(port) as idle:
        idle.sendall(GET)
        read_response(idle)
        began = time.monotonic()
    return time.monotonic() - began


def test_an_idle_listener_stops_at_once() -> None:
    # The fastest of several: a busy machine delays some, a listener that polls delays all.
    assert min(seconds_to_stop() for _ in range(10)) < 0.1


def test_finishes_a_request_in_progress_first() -> None:
    begun, go_on = threading.Event(), asyncio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        loops.append(asyncio.get_running_loop())
        begun.set()
        await go_on.wait()
        await echo(scope, receive, send)

    loops: list[asyncio.AbstractEventLoop] = []
    opened = listen("127.0.0.1", 0)
    port = opened.getsockname()[1]
    listener = Listener(slow, opened, Limits())
    ready = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(listener.listen(ready.set)))
    thread.start()
    assert ready.wait(PATIENCE)
    with connect(port) as client:
        client.sendall(GET)
        assert begun.wait(PATIENCE)
        listener.stop()
        listener.stop()
        loops[0].call_soon_threadsafe(go_on.set)
        assert read_response(client).startswith(b"HTTP/1.1 200")
        thread.join(PATIENCE)
    assert not thread.is_alive()
    listener.stop()  # its loop is closed
