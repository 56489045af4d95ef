"""A worker process of the gateway, which ``Workers`` starts."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from grantway._exceptions import GrantwayError
from grantway._secrets.params import Params
from grantway_plugins.gateway._config import ConfigFile
from grantway_plugins.resource import SharedProofs
from grantway_plugins.server._signals import on_signal
from grantway_plugins.server._workers.channel import Request, WorkerEnd

from .gateway import Gateway
from .logs import LogSettings
from .server import plugins_of
from .sockets import Sockets, serving_requests

_log = logging.getLogger("grantway.gateway")


class _Worker:
    """Handles requests until SIGTERM, or until the supervisor ends.

    Args:
        supervisor: The connection to the supervisor.
    """

    def __init__(self, supervisor: WorkerEnd) -> None:
        self._supervisor = supervisor
        self._stop = asyncio.Event()
        self._answering: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Run the gateway that the first request describes."""
        on_signal("SIGTERM", self._stop.set)
        requests = self._supervisor.requests()
        start = await anext(requests, None)
        if start is None:  # the supervisor has ended already
            return
        settings = Params(start.argument)  # errors do not show the content of the file
        LogSettings(**settings["logs"]).apply()
        with Sockets.handed_over(*settings["listening"]) as sockets:
            try:
                content = settings["content"].encode()
                config = ConfigFile(Path(settings["path"]), content, require_valid=False)
                gateway = await asyncio.to_thread(
                    Gateway,
                    config,
                    follows_file=False,
                    used_proofs=SharedProofs(settings["used_proofs"]),
                )
                with plugins_of(gateway, config):
                    await gateway.start()
                    try:
                        async with serving_requests(
                            gateway,
                            sockets,
                            config,
                            stop=self._stop,
                            shared_grpc=settings["grpc"] and tuple(settings["grpc"]),
                        ):
                            await self._supervisor.respond(start, None)
                            await self._answer_all(gateway, requests)
                    finally:
                        await gateway.stop()
            except GrantwayError as error:
                await self._supervisor.respond(start, str(error))

    async def _answer_all(self, gateway: Gateway, requests: AsyncIterator[Request]) -> None:
        """Answer requests until the worker has to stop, and in the background after that."""
        self._in_background(self._read(gateway, requests))
        await self._stop.wait()
        gateway.stopping = True

    async def _read(self, gateway: Gateway, requests: AsyncIterator[Request]) -> None:
        async for request in requests:
            self._in_background(self._answer(gateway, request))
        self._stop.set()  # the supervisor has ended

    async def _answer(self, gateway: Gateway, request: Request) -> None:
        response: Any
        match request.name:
            case "health":
                response = await gateway.health_of_parts()
            case "metrics":
                response = gateway.metrics.snapshot()
            case "update":
                try:
                    response = await gateway.use(request.argument["content"].encode())
                except Exception as error:  # noqa: BLE001 - the supervisor waits for a response
                    _log.exception("The configuration cannot be used")
                    response = f"{type(error).__name__}; see the log"
            case name:
                raise AssertionError(name)
        await self._supervisor.respond(request, response)

    def _in_background(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)


async def _main(file: int) -> None:
    await _Worker(WorkerEnd(socket.socket(fileno=file))).run()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1])))
