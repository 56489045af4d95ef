"""A worker for the tests of the supervisor, which serves connections without HTTP."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys

from grantway_plugins.server._workers.channel import WorkerEnd
from grantway_plugins.server._workers.handover import HandedOver


async def main(file: int) -> None:
    supervisor = WorkerEnd(socket.socket(fileno=file))
    requests = supervisor.requests()
    start = await anext(requests)
    settings = start.argument
    if settings.get("ignores_sigterm"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if problem := settings.get("problem"):
        await supervisor.respond(start, problem)
        return
    if settings.get("crashes"):
        os._exit(3)
    loop = asyncio.get_running_loop()
    for each in settings["listening"]:
        if not settings.get("takes_nothing"):
            queue = HandedOver(each)
            loop.add_reader(queue, serve, queue)
    await supervisor.respond(start, None)
    async for request in requests:
        match request.name:
            case "who":
                await supervisor.respond(request, os.getpid())
            case "take":
                queue = HandedOver(settings["listening"][0])
                loop.add_reader(queue, serve, queue)
                await supervisor.respond(request, None)
            case "sleep":
                pass  # no response
    sys.exit(0)


def serve(queue: HandedOver) -> None:
    """Send the process ID to a client."""
    connection, _ = queue.accept()
    with connection:
        connection.sendall(str(os.getpid()).encode())


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
