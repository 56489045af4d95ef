"""Clients in several event loops, after a fork, and once they are closed."""

from __future__ import annotations

import asyncio
import os
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from grantway import Client, ConfigurationError, HttpTransport, Provider, Token
from tests import faults
from tests.core.credential.scenes import Gate
from tests.faults import FaultServer

REFRESH = {"grant_type": "refresh_token", "refresh_token": "rt-0"}


def client_of(server: FaultServer, **options: Any) -> Client:
    return Client(Provider(server.token_endpoint), client_id="c", **options)


def async_token(client: Client) -> Token:
    return asyncio.run(client.create_token_async(**REFRESH))


def blocking_token(client: Client) -> Token:
    return client.create_token(**REFRESH)


def test_one_client_serves_threads_and_event_loops() -> None:
    async def in_a_loop() -> None:
        assert (await client.create_token_async(**REFRESH)).access_token == "at-1"
        # Blocking calls in an event loop work, and block it.
        assert client.create_token(**REFRESH).access_token == "at-1"

    with FaultServer(faults.respond()) as server, client_of(server) as client:
        for _ in range(2):
            asyncio.run(in_a_loop())
            assert async_token(client).access_token == "at-1"
            assert blocking_token(client).access_token == "at-1"


def test_event_loops_in_several_threads_share_a_client() -> None:
    async def several() -> set[str]:
        calls = [client.create_token_async(**REFRESH) for _ in range(5)]
        return {token.access_token for token in await asyncio.gather(*calls)}

    with (
        FaultServer(faults.respond()) as server,
        client_of(server) as client,
        ThreadPoolExecutor(4) as threads,
    ):
        assert {*threads.map(lambda _: frozenset(asyncio.run(several())), range(4))} == {
            frozenset({"at-1"})
        }
        assert len(server.requests) == 20


@pytest.mark.parametrize("ask", [async_token, blocking_token])
@pytest.mark.parametrize("asynchronously", [True, False])
def test_a_closed_client_sends_nothing(
    ask: Callable[[Client], Token], *, asynchronously: bool
) -> None:
    async def use() -> None:
        async with client:
            await client.create_token_async(**REFRESH)

    with FaultServer(faults.respond()) as server:
        client = client_of(server)
        if asynchronously:
            asyncio.run(use())
        else:
            with client:
                ask(client)
        with pytest.raises(ConfigurationError, match=r"client is closed.*nothing was sent.*Create"):
            ask(client)
        with pytest.raises(ConfigurationError, match="client is closed"):
            client.call("token")
        assert len(server.requests) == 1
        client.close()  # again
        asyncio.run(client.aclose())


def test_closing_a_client_lets_calls_in_progress_finish() -> None:
    gate = Gate(faults.respond())

    async def main() -> None:
        task = asyncio.create_task(client.create_token_async(**REFRESH))
        await asyncio.to_thread(gate.wait)
        await client.aclose()
        gate.opened.set()
        assert (await task).access_token == "at-1"

    with FaultServer(gate) as server:
        client = client_of(server)
        asyncio.run(main())


def test_rejects_the_cancel_event_of_blocking_calls() -> None:
    provider = Provider("https://example.com/token")
    event = threading.Event()
    with Client(provider, client_id="c") as client:
        for call in (
            client.create_token_async(**REFRESH, cancel=event),
            client.call_async("revocation", cancel=event),
        ):
            with pytest.raises(ConfigurationError, match=r"^cancel: .*Cancel the task"):
                asyncio.run(call)


class ClosingTransport:
    """A transport with an asynchronous ``aclose``."""

    def __init__(self) -> None:
        self.closed: list[str] = []

    def send(self, request: Any, deadline: Any) -> Any:
        raise NotImplementedError

    def close(self) -> None:
        self.closed.append("close")

    async def aclose(self) -> None:
        self.closed.append("aclose")


def test_aclose_awaits_that_of_the_transport() -> None:
    transport = ClosingTransport()
    client = Client(Provider("https://example.com/token"), client_id="c", transport=transport)
    asyncio.run(client.aclose())
    client.close()
    assert transport.closed == ["aclose", "close"]


@pytest.mark.parametrize("name", ["send", "close", "send_async", "aclose"])
def test_rejects_a_transport_with_the_wrong_kind_of_method(name: str) -> None:
    async def asynchronous(*_arguments: Any) -> None: ...

    def plain(*_arguments: Any) -> None: ...

    wrong = plain if name in {"send_async", "aclose"} else asynchronous
    transport: Any = type("Wrong", (HttpTransport,), {name: wrong})()
    with pytest.raises(ConfigurationError, match=f"^transport: {name} ") as raised:
        Client(Provider("https://example.com/token"), client_id="c", transport=transport)
    assert list(raised.value.errors) == ["transport"]
    transport.close = HttpTransport.close


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
def test_a_forked_child_opens_its_own_connections() -> None:
    with FaultServer(faults.respond()) as server, client_of(server) as client:
        async_token(client)
        with warnings.catch_warnings():
            # The thread of the server does not run in the child.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            status = 1
            try:
                status = 0 if async_token(client).access_token == "at-1" else 1
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        async_token(client)
        assert server.connections == 3
