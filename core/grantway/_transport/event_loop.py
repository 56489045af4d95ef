"""Sockets of an asyncio event loop.

The sockets belong to the transport, not to asyncio's transports, so that they can be closed from
any thread and after their loop.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any, Self

from .blocking import run
from .proxies import ProxyChoice
from .sending import Sending
from .socks import connect_through_socks
from .stream import READ_SIZE, SocketStream, connect_to_first, permitted


class LoopStream(SocketStream):
    """A connection that suspends the task. It holds no reference to the loop."""

    __slots__ = ()

    @classmethod
    async def connect(cls, host: str, port: int, sending: Sending) -> Self:
        """Connect to the first address of a host that accepts."""
        addresses = await _addresses(host, port, sending)
        return cls(await connect_to_first(permitted(addresses, sending), sending, _connect))

    @classmethod
    async def connect_socks(
        cls, proxy: ProxyChoice, host: str, port: int, sending: Sending
    ) -> Self:
        """Connect through a SOCKS proxy, in a thread, because PySocks blocks."""
        connecting = asyncio.get_running_loop().run_in_executor(
            None, lambda: run(connect_through_socks(proxy, host, port, sending))
        )
        try:
            async with asyncio.timeout(sending.timeout()):
                sock = await asyncio.shield(connecting)
        except BaseException:
            connecting.add_done_callback(_discard)
            raise
        sock.setblocking(False)
        return cls(sock)

    async def send(self, data: memoryview, sending: Sending) -> None:
        timeout = sending.timeout()
        try:
            count = self.sock.send(data)
        except (BlockingIOError, InterruptedError):
            count = 0
        sending.sent += count
        if count < len(data):
            sending.sent += len(data) - count  # the loop does not report how far it gets
            async with asyncio.timeout(timeout):
                await asyncio.get_running_loop().sock_sendall(self.sock, data[count:])

    async def receive(self, sending: Sending) -> bytes:
        timeout = sending.timeout()
        try:  # a quick response needs no timer, which costs more than the loop's own attempt
            return self.sock.recv(READ_SIZE)
        except (BlockingIOError, InterruptedError):
            pass
        async with asyncio.timeout(timeout):
            return await asyncio.get_running_loop().sock_recv(self.sock, READ_SIZE)


def running_loop() -> asyncio.AbstractEventLoop:
    """Return the running event loop.

    Raises:
        RuntimeError: the caller runs in no event loop.
    """
    return asyncio.get_running_loop()


async def _connect(sock: socket.socket, address: Any, seconds: float) -> None:
    sock.setblocking(False)
    async with asyncio.timeout(seconds):
        await asyncio.get_running_loop().sock_connect(sock, address)


async def _addresses(host: str, port: int, sending: Sending) -> list[Any]:
    lookup, kind = host.encode(), socket.SOCK_STREAM
    try:  # an address needs no lookup, and therefore no thread
        return socket.getaddrinfo(lookup, port, type=kind, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        async with asyncio.timeout(sending.timeout()):
            return await asyncio.get_running_loop().getaddrinfo(lookup, port, type=kind)


def _discard(connecting: asyncio.Future[socket.socket]) -> None:
    if not connecting.cancelled() and connecting.exception() is None:
        connecting.result().close()
