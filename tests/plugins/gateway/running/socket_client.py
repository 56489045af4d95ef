"""A WebSocket client for tests of the gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from tests.plugins.gateway.running.socket_servers import MIB
from tests.waiting import PATIENCE

ACME = {"X-Tenant": "acme"}

Use = Callable[[aiohttp.ClientWebSocketResponse], Awaitable[None]]


def use_websocket(url: str, use: Use, **headers: str) -> None:
    """Open a WebSocket as the tenant ``acme``, and use it."""

    async def main() -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(
                url,
                headers={**ACME, **headers},
                protocols=["chat"],
                max_msg_size=0,
                timeout=aiohttp.ClientWSTimeout(ws_close=PATIENCE),
            ) as client,
        ):
            await use(client)

    asyncio.run(asyncio.wait_for(main(), 2 * PATIENCE))


def rejected_status(url: str, **headers: str) -> int:
    """Return the status of a rejected handshake."""

    async def fail(_client: aiohttp.ClientWebSocketResponse) -> None:
        raise AssertionError

    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        use_websocket(url, fail, **headers)
    return caught.value.status


async def hello(client: aiohttp.ClientWebSocketResponse) -> None:
    """Exchange a short message with a server that echoes."""
    await client.send_str("hello")
    assert await client.receive_str() == "hello"


async def talk(client: aiohttp.ClientWebSocketResponse) -> None:
    """Exchange messages of several sizes, and let the server close the connection."""
    assert client.protocol == "chat"
    await hello(client)
    for size in (0, 125, 65_536, 4 * MIB):
        await client.send_bytes(b"\x00\xff" * (size // 2))
        assert await client.receive_bytes() == b"\x00\xff" * (size // 2)
    await client.send_str("bye")
    assert (await client.receive()).type is aiohttp.WSMsgType.CLOSE
    assert client.close_code == 4000
