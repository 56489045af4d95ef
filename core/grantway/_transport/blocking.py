"""Blocking sockets."""

from __future__ import annotations

import socket
from collections.abc import Coroutine
from typing import Any, Self, TypeVar

from .proxies import ProxyChoice
from .sending import Sending
from .stream import READ_SIZE, SocketStream, connect_to_first, permitted

R = TypeVar("R")


def run(coroutine: Coroutine[Any, Any, R]) -> R:
    """Run a coroutine that uses only blocking streams, and therefore never suspends."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: R = done.value
        return result
    coroutine.close()
    raise RuntimeError("A coroutine on a blocking connection was suspended.")


class BlockingStream(SocketStream):
    """A connection that blocks the thread."""

    __slots__ = ()

    @classmethod
    async def connect(cls, host: str, port: int, sending: Sending) -> Self:
        """Connect to the first address of a host that accepts."""
        addresses = socket.getaddrinfo(host.encode(), port, type=socket.SOCK_STREAM)
        return cls(await connect_to_first(permitted(addresses, sending), sending, _connect))

    @classmethod
    async def connect_socks(
        cls, proxy: ProxyChoice, host: str, port: int, sending: Sending
    ) -> Self:
        """Connect through a SOCKS proxy."""
        from .socks import connect_through_socks  # noqa: PLC0415 - few programs have such a proxy

        return cls(await connect_through_socks(proxy, host, port, sending))

    async def send(self, data: memoryview, sending: Sending) -> None:
        self.sock.settimeout(sending.timeout())
        count = self.sock.send(data)
        sending.sent += count
        while count < len(data):
            data = data[count:]
            self.sock.settimeout(sending.timeout())
            count = self.sock.send(data)
            sending.sent += count

    async def receive(self, sending: Sending) -> bytes:
        self.sock.settimeout(sending.timeout())
        return self.sock.recv(READ_SIZE)


async def _connect(sock: socket.socket, address: Any, seconds: float) -> None:
    sock.settimeout(seconds)
    sock.connect(address)
