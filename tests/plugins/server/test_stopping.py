"""Stopping to accept connections."""

from __future__ import annotations

import asyncio
import logging
import os
import socket

import pytest

from grantway_plugins.server._listening.acceptor import Acceptor


@pytest.mark.skipif(os.name == "nt", reason="sockets cannot be watched in Windows' event loop")
def test_a_connection_that_arrives_during_the_stop_is_not_an_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listening:
            acceptor = Acceptor(listening, asyncio.Protocol, lambda: None)
            await asyncio.sleep(0)
            with socket.create_connection(listening.getsockname()):
                # The stop runs between the arrival and its handling.
                loop.call_soon(acceptor._task.cancel)
                await asyncio.sleep(0)
                await acceptor.stop()

    with caplog.at_level(logging.ERROR, "asyncio"):
        asyncio.run(run())
    assert caplog.records == []
