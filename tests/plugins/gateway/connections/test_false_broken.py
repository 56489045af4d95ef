"""Connections that work are not reported as broken, whatever failed or ran at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from grantway import Token
from grantway._exceptions import StoreError, StoreSaveError
from grantway_plugins.gateway._connections._background.saving import save_activity
from grantway_plugins.gateway._connections.connection import Connection
from grantway_plugins.gateway._connections.service import Connections
from grantway_plugins.gateway._connections.tokens import ConnectionTokens
from tests.plugins.gateway.connections.scenes import ANN, gateway_file, run_file
from tests.plugins.gateway.running.conftest import Backends

ABOUT = (ANN.id, "github")
SQL = '{ kind = "sql", url = "sqlite:///FOLDER/tokens.db" }'


@pytest.fixture
def gateways(backends: Backends, tmp_path: Path) -> Iterator[Callable[[], Connections]]:
    """Return a function that opens the connections of another gateway with the same database."""
    file = gateway_file(
        backends,
        tmp_path,
        store=SQL.replace("FOLDER", str(tmp_path)),
        connections="recheck = 0.1",
    )
    with ExitStack() as running:

        def start() -> Connections:
            runtime, connections = run_file(file)
            running.callback(runtime.components.close)
            return connections

        yield start


@pytest.fixture
def connections(gateways: Callable[[], Connections]) -> Connections:
    return gateways()


async def record(connections: Connections) -> Connection:
    """Return the record of the connection."""
    found = await connections.records.connection(*ABOUT)
    assert found is not None
    return found


async def names(connections: Connections) -> list[str]:
    """Return the names of the events of the audit trail, oldest first."""
    return [each.name for each in reversed(await connections.records.history(ANN.id))]


def test_the_provider_issues_a_disconnected_token_again(
    gateways: Callable[[], Connections],
) -> None:
    """Some providers have one token for each user, and none of them can be refreshed."""
    one, other = gateways(), gateways()
    token = Token("the only token of this user")

    async def main() -> None:
        await one.connected(ANN, "github", token)
        source = ConnectionTokens(other, "github").credential(ANN.id)
        assert (await source.token_async()).access_token == token.access_token
        await one.disconnect(ANN, "github")
        await asyncio.sleep(0.2)
        with pytest.raises(Exception, match="connect"):
            await source.token_async()
        await one.connected(ANN, "github", token)
        assert (await source.token_async()).access_token == token.access_token
        assert (await record(other)).state == "connected"

    asyncio.run(main())


def test_a_token_that_cannot_be_deleted_stays_connected(
    connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_args: object, **_options: object) -> None:
        raise StoreSaveError("The disk is full")

    async def main() -> None:
        await connections.connected(ANN, "github", Token("at", refresh_token="rt"))
        before = await record(connections)
        with monkeypatch.context() as patched:
            patched.setattr(connections._store, "delete_async", fail)
            with pytest.raises(StoreError):
                await connections.disconnect(ANN, "github")
        after = await record(connections)
        assert (after.state, after.due_at) == ("connected", before.due_at)
        assert (await connections.disconnect(ANN, "github")).existed

    asyncio.run(main())


@pytest.mark.parametrize("before", ["none", "broken"])
def test_a_record_that_cannot_be_saved_at_a_login_is_saved_later(
    connections: Connections, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    async def fail(*_args: object, **_options: object) -> None:
        raise StoreSaveError("The disk is full")

    async def main() -> None:
        if before == "broken":
            await connections.connected(ANN, "github", Token("old", expires_at=1.0))
            assert await connections.broken(*ABOUT, "expired")
        with monkeypatch.context() as patched:
            patched.setattr(type(connections.records), "put", fail)
            await connections.connected(ANN, "github", Token("at", refresh_token="rt"))
        await save_activity(connections)
        known = await record(connections)
        assert known.state == "connected"
        assert known.due_at < float("inf"), "it is refreshed although no request uses it"

    asyncio.run(main())


def test_a_gateway_saves_its_new_token_after_another_one_was_rejected(
    connections: Connections,
) -> None:
    """The rejected refresh token was an earlier one, so the connection works."""

    async def main() -> None:
        await connections.connected(ANN, "github", Token("at", expires_at=1.0))
        assert await connections.broken(*ABOUT, "invalid_grant")
        new = Token("new", refresh_token="rotated")
        await connections.credential("github", ANN.id).accept_async(new)
        connections.activity.refreshed(60.0, *ABOUT, new)
        await save_activity(connections)
        assert (await record(connections)).state == "connected"
        assert await names(connections) == ["connected", "broken", "refreshed"]

    asyncio.run(main())


def test_uses_of_a_rejected_connection_do_not_repair_it(connections: Connections) -> None:
    """Its access token may be used until it expires."""

    async def main() -> None:
        await connections.connected(ANN, "github", Token("at"))
        assert await connections.broken(*ABOUT, "invalid_grant")
        connections.activity.used(*ABOUT)
        await save_activity(connections)
        assert (await record(connections)).state == "broken"

    asyncio.run(main())


def test_a_login_without_refresh_token_ends_while_the_old_token_is_found_expired(
    connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = type(connections.records).put

    async def put(self: Any, *args: Any, **options: Any) -> None:
        # The new token is stored, and its record is not yet.
        assert not await connections.broken(*ABOUT, "expired")
        await real(self, *args, **options)

    async def main() -> None:
        await connections.connected(ANN, "github", Token("old", expires_at=1.0))
        monkeypatch.setattr(type(connections.records), "put", put)
        await connections.connected(ANN, "github", Token("new", expires_in=3600))
        assert await names(connections) == ["connected", "reconnected"]

    asyncio.run(main())
