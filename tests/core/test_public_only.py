"""A transport that connects only to hosts on the public internet."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import pytest

from grantway import ConnectionFailedError
from grantway._transport.deadline import Deadline
from grantway._transport.http import HttpRequest
from grantway._transport.public_addresses import is_public
from grantway._transport.transport import HttpTransport
from tests.waiting import PATIENCE


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "255.255.255.255",
        "224.0.0.1",
        "240.0.0.1",
        "192.0.2.1",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fec0::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
        "2001:0:7f00:1::",
        "2001:db8::1",
    ],
)
def test_these_addresses_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808"])
def test_these_addresses_are_public(address: str) -> None:
    assert is_public(address)


Send = Callable[[HttpTransport, HttpRequest], object]


def blocking(transport: HttpTransport, request: HttpRequest) -> object:
    return transport.send(request, Deadline(PATIENCE))


def in_event_loop(transport: HttpTransport, request: HttpRequest) -> object:
    return asyncio.run(transport.send_async(request, Deadline(PATIENCE)))


@pytest.mark.parametrize("send", [blocking, in_event_loop])
@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost", "2130706433", "0x7f.1"])
def test_a_private_host_gets_no_connection(send: Send, host: str) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.setblocking(False)
        url = f"http://{host}:{server.getsockname()[1]}/"
        transport = HttpTransport(public_only=True, proxies={})
        with pytest.raises(ConnectionFailedError, match="not on the public internet"):
            send(transport, HttpRequest("GET", url, {}))
        transport.close()
        with pytest.raises(BlockingIOError):
            server.accept()


PRIVATE = ("10.0.0.1", "[::1]", "localhost", "a.localhost", "127.1", "2130706433", "0x7f.0x1")


def test_a_private_address_is_not_requested_from_a_proxy() -> None:
    with socket.socket() as proxy:
        proxy.bind(("127.0.0.1", 0))
        proxy.listen()
        proxy.setblocking(False)
        through = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        transport = HttpTransport(public_only=True, proxies=through, no_proxy="")
        for host in PRIVATE:
            with pytest.raises(ConnectionFailedError, match="not on the public internet"):
                blocking(transport, HttpRequest("GET", f"http://{host}/", {}))
        transport.close()
        with pytest.raises(BlockingIOError):
            proxy.accept()
