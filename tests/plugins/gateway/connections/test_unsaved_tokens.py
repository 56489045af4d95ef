"""A gateway holds a new token that its store could not save, while users and gateways go on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from grantway import Token
from grantway._exceptions import StoreSaveError
from grantway_plugins.gateway._connections._background.saving import save_activity
from grantway_plugins.gateway._connections.service import Connections
from grantway_plugins.gateway._connections.tokens import ConnectionTokens
from grantway_plugins.gateway.upstream._rejection import ConnectionNeededError
from tests.faults import FaultServer, respond
from tests.plugins.gateway.connections.scenes import ANN, gateway_file, run_file
from tests.plugins.gateway.running.conftest import Backends
from tests.valkey import ValkeyServer, valkey_server

ABOUT = (ANN.id, "github")


@pytest.fixture
def server() -> Iterator[ValkeyServer]:
    with valkey_server() as server:
        yield server


@pytest.fixture
def gateways(
    backends: Backends, tmp_path: Path, server: ValkeyServer
) -> Iterator[Callable[[], Connections]]:
    """Return a function that opens the connections of another gateway.

    The server of their store is killed while the provider issues the first token.
    """

    def issue(stage: Any) -> bool:
        body = {"access_token": "new", "refresh_token": "rotated", "expires_in": 3600}
        return respond(200, {"token_type": "Bearer", **body})(stage)

    def issue_without_store(stage: Any) -> bool:
        server.stop()
        return issue(stage)

    rejected = respond(400, {"error": "invalid_grant"})
    with ExitStack() as running:
        provider = running.enter_context(FaultServer(issue_without_store, rejected))
        file = gateway_file(
            backends,
            tmp_path,
            url=provider.url,
            store=f'{{ kind = "redis", url = "{server.url}", lease = 0.5 }}',
            connections="recheck = 0.1",
        )

        def start() -> Connections:
            runtime, connections = run_file(file)
            running.callback(runtime.components.close)
            return connections

        yield start


async def token(connections: Connections) -> str:
    """Return the access token that a request would use."""
    source = ConnectionTokens(connections, "github").credential(ANN.id)
    return (await source.token_async()).access_token


async def hold_an_unsaved_token(connections: Connections, server: ValkeyServer) -> None:
    """Connect the user, and refresh while the store fails."""
    expired = Token("old", refresh_token="first", expires_at=time.time() - 1)
    await connections.connected(ANN, "github", expired)
    with pytest.raises(StoreSaveError):
        await token(connections)
    await asyncio.to_thread(server.restart)


async def state(connections: Connections) -> str:
    """Return the state of the connection after all activity was saved."""
    await save_activity(connections, everything=True)
    known = await connections.records.connection(*ABOUT)
    return "none" if known is None else known.state


def test_a_disconnection_elsewhere_is_final(
    gateways: Callable[[], Connections], server: ValkeyServer
) -> None:
    holder, other = gateways(), gateways()

    async def main() -> None:
        await hold_an_unsaved_token(holder, server)
        assert (await other.disconnect(ANN, "github")).existed
        for _ in range(2):
            with pytest.raises(ConnectionNeededError):
                await token(holder)
        assert await state(holder) == "none"
        assert await other.restored(*ABOUT) is None, "no token is stored"

    asyncio.run(main())


def test_the_token_is_saved_if_the_user_has_not_disconnected(
    gateways: Callable[[], Connections], server: ValkeyServer
) -> None:
    holder, other = gateways(), gateways()

    async def main() -> None:
        await hold_an_unsaved_token(holder, server)
        assert await token(holder) == "new"
        assert await token(other) == "new"
        assert await state(holder) == "connected"

    asyncio.run(main())


def test_the_token_is_saved_if_the_provider_rejected_its_predecessor(
    gateways: Callable[[], Connections], server: ValkeyServer
) -> None:
    holder, other = gateways(), gateways()

    async def main() -> None:
        await hold_an_unsaved_token(holder, server)
        with pytest.raises(ConnectionNeededError):
            await token(other)
        assert await state(other) == "broken"
        assert await token(holder) == "new"
        assert await state(holder) == "connected"
        assert await token(other) == "new"

    asyncio.run(main())
