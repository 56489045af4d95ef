"""A WebSocket server for tests, and handshakes for clients without a library."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
from aiohttp import web

from tests.plugins.gateway.running.programs import PATIENCE

MIB = 1 << 20
#: A text frame of a client, and the same from the server (RFC 6455 section 5.2).
FRAME, ECHOED = b"\x81\x82\x00\x00\x00\x00hi", b"\x81\x02hi"


class SocketServer:
    """A WebSocket server that returns each message, in a thread.

    The message ``flood`` gets 64 MiB, and ``bye`` closes the connection with status 4000.

    Attributes:
        url: URL of the server.
        handshakes: Headers of each handshake.
        rejected: ``Authorization`` values that get a 401.
        opened: Number of connections that were opened.
        ended: Number of connections that have ended.
        sent: Messages of the current flood that were sent.
    """

    def __init__(self) -> None:
        self.url = ""
        self.handshakes: list[dict[str, str]] = []
        self.rejected: set[str] = set()
        self.opened = self.ended = self.sent = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.handshakes.append({name.lower(): value for name, value in request.headers.items()})
        if request.headers.get("authorization") in self.rejected:
            challenge = {"www-authenticate": 'Bearer error="invalid_token"'}
            return web.Response(status=401, headers=challenge)
        if request.path.endswith("/plain"):
            return web.Response(text="no WebSocket here")
        served = web.WebSocketResponse(protocols=["chat"], max_msg_size=0)
        await served.prepare(request)
        self.opened += 1
        try:
            async for message in served:
                if message.data == "flood":
                    for self.sent in range(64):
                        await served.send_bytes(b"x" * MIB)
                elif message.data == "bye":
                    await served.close(code=4000, message=b"as requested")
                elif message.type is aiohttp.WSMsgType.TEXT:
                    await served.send_str(message.data)
                elif message.type is aiohttp.WSMsgType.BINARY:
                    await served.send_bytes(message.data)
        finally:
            self.ended += 1
        return served


@contextmanager
def socket_server() -> Iterator[SocketServer]:
    """Run a server in a thread."""
    found, ready = SocketServer(), threading.Event()
    loop, stop = asyncio.new_event_loop(), asyncio.Event()

    async def serve() -> None:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", found.handle)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        ready.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(PATIENCE)
    yield found
    loop.call_soon_threadsafe(stop.set)
    thread.join(PATIENCE)
    loop.close()


def handshake(*lines: str, start: str = "GET /chat HTTP/1.1", **headers: str) -> bytes:
    """Return a handshake.

    Args:
        lines: Further header lines.
        start: The request line.
        headers: Values of ``Host``, ``Connection`` and ``Upgrade``.
    """
    values = {"Host": "x", "Connection": "Upgrade", "Upgrade": "websocket", **headers}
    head = [
        start, *(f"{name}: {value}" for name, value in values.items()), "X-Tenant: acme",
        "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", *lines,
    ]  # fmt: skip
    return "\r\n".join([*head, "", ""]).encode()
