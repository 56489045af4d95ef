"""A rotation of keys ends: afterwards nothing needs the old key, and nothing was lost."""

from __future__ import annotations

import asyncio
import base64
import itertools
from collections.abc import Coroutine, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from grantway import Token
from grantway._exceptions import StoreUnreadableError
from grantway_plugins.gateway._config import ConfigFile
from grantway_plugins.gateway._connections import records
from grantway_plugins.gateway._connections.connection import Connection
from grantway_plugins.gateway._connections.details import Details
from grantway_plugins.gateway._connections.reencryption import Reencryption, reencrypt
from grantway_plugins.gateway._connections.service import Connections
from grantway_plugins.gateway._running.building import build_runtime
from grantway_plugins.gateway._running.runtime import Runtime
from tests.plugins.gateway.connections.scenes import ANN, gateway_file, login
from tests.plugins.gateway.connections.test_configuration import KEY as OLD
from tests.plugins.gateway.running.conftest import Backends
from tests.postgres import postgres_server
from tests.valkey import valkey_server

Result = TypeVar("Result")

NEW = base64.b64encode(bytes(range(32, 64))).decode()
OTHER = base64.b64encode(bytes(range(64, 96))).decode()
USERS = [replace(ANN, subject=f"user-{number}") for number in range(25)]


class Keys:
    """Gateways that use one database with different keys."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._text = path.read_text()
        self._runtimes: list[Runtime] = []

    def connections(self, *keys: str) -> Connections:
        """Return the connections of a gateway with these keys, newest first."""
        self._path.write_text(self._text.replace(OLD, ",".join(keys)))
        before = self._runtimes[-1] if self._runtimes else None
        runtime = build_runtime(ConfigFile(self._path), before=before)
        self._runtimes.append(runtime)
        assert runtime.connections is not None
        return runtime.connections

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Do work in an event loop, and close everything."""

        async def main() -> Result:
            try:
                return await work
            finally:
                for each, after in itertools.pairwise([*self._runtimes, None]):
                    assert each is not None
                    await each.components.close_async(after and after.components)

        return asyncio.run(main())


@pytest.fixture(
    params=[
        "memory",
        "sqlite",
        pytest.param("postgresql", marks=pytest.mark.slow),
        pytest.param("valkey", marks=pytest.mark.slow),
    ]
)
def keys(request: pytest.FixtureRequest, backends: Backends, tmp_path: Path) -> Iterator[Keys]:
    """Return gateways with each kind of database."""
    with ExitStack() as running:
        stores = {
            "memory": lambda: "",
            "sqlite": lambda: f'{{ kind = "sql", url = "sqlite:///{tmp_path}/gateway.sqlite3" }}',
            "postgresql": lambda: (
                f'{{ kind = "sql", url = "{running.enter_context(postgres_server()).url}" }}'
            ),
            "valkey": lambda: (
                f'{{ kind = "redis", url = "{running.enter_context(valkey_server()).url}" }}'
            ),
        }
        yield Keys(gateway_file(backends, tmp_path, store=stores[request.param]()))


async def connect(connections: Connections, count: int = len(USERS)) -> None:
    """Connect users."""
    for number, user in enumerate(USERS[:count]):
        token = Token(f"at-{number}", refresh_token=f"rt-{number}", expires_at=1e12)
        await connections.connected(user, "github", token)


async def readable(connections: Connections, count: int = len(USERS)) -> bool:
    """Return whether all tokens and details can be read."""
    for number, user in enumerate(USERS[:count]):
        known = await connections.records.connection(user.id, "github")
        assert known is not None
        details = Details.opened(known.details, connections.sealed, user.id, "github")
        if details.user != user:
            return False
        try:
            token = await connections.credential("github", user.id).token_async()
        except StoreUnreadableError:
            return False
        assert token.access_token == f"at-{number}"
    return True


def test_afterwards_nothing_needs_the_old_key(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "_PAGE", 10)

    async def main() -> list[Reencryption]:
        await connect(keys.connections(OLD))
        assert not await readable(keys.connections(NEW))
        both = keys.connections(NEW, OLD)
        first, second = await reencrypt(both), await reencrypt(both)
        assert await readable(keys.connections(NEW))
        return [first, second]

    first, second = keys.run(main())
    count = len(USERS)
    assert (first.connections, first.tokens, first.records) == (count, count, count)
    assert (second.connections, second.tokens, second.records) == (count, 0, 0)
    assert first.finished
    assert second.finished


def test_it_can_be_interrupted_and_repeated(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        await connect(keys.connections(OLD))
        both = keys.connections(NEW, OLD)
        real, calls = type(both.tokens).reencrypt, [0]

        async def interrupted(self: Any, known: Connection) -> bool | None:
            calls[0] += 1
            if calls[0] > 10:
                raise asyncio.CancelledError
            return await real(self, known)

        with monkeypatch.context() as patched:
            patched.setattr(type(both.tokens), "reencrypt", interrupted)
            with pytest.raises(asyncio.CancelledError):
                await reencrypt(both)
        assert await readable(both)
        result = await reencrypt(both)
        assert 0 < result.tokens < len(USERS)
        assert result.finished
        assert await readable(keys.connections(NEW))

    keys.run(main())


def test_a_missing_old_key_is_named_and_nothing_is_lost(keys: Keys) -> None:
    async def main() -> Reencryption:
        old = keys.connections(OLD)
        await connect(old)
        result = await reencrypt(keys.connections(NEW, OTHER))
        assert await readable(keys.connections(OLD))
        return result

    result = keys.run(main())
    assert not result.finished
    assert result.failed == len(USERS)
    assert (result.tokens, result.records) == (0, 0)
    (problem,) = result.problems
    assert "cannot be decrypted" in problem


def test_a_gateway_that_refreshes_meanwhile_loses_nothing(keys: Keys, backends: Backends) -> None:
    """A gateway with the old list of keys refreshes while another one encrypts again."""

    async def main() -> None:
        old = keys.connections(OLD, NEW)
        await connect(old, 5)
        await old.connected(ANN, "github", login(old, backends.issuer))
        both = keys.connections(NEW, OLD)
        credential, results = old.credential("github", ANN.id), []
        for _ in range(5):
            done = await asyncio.gather(credential.refresh_async(), reencrypt(both))
            results.append(done[1])
        last = await reencrypt(both)
        assert last.finished
        assert await readable(keys.connections(NEW), 5)
        token = await keys.connections(NEW).credential("github", ANN.id).refresh_async()
        assert token.refresh_token

    keys.run(main())


def test_a_gateway_that_still_uses_the_old_key_is_noticed(
    keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> Reencryption:
        old = keys.connections(OLD, NEW)
        await connect(old, 3)
        both = keys.connections(NEW, OLD)
        real = type(both.tokens).reencrypt

        async def beside(self: Any, known: Connection) -> bool | None:
            done = await real(self, known)
            await old.credential(known.provider, known.user).accept_async(
                Token("at", refresh_token="rt")
            )
            return done

        monkeypatch.setattr(type(both.tokens), "reencrypt", beside)
        return await reencrypt(both)

    result = keys.run(main())
    assert not result.finished
    assert not result.problems


def test_providers_that_are_not_in_the_file_are_reported(keys: Keys) -> None:
    async def main() -> Reencryption:
        old = keys.connections(OLD)
        await connect(old, 2)
        known = await old.records.connection(USERS[0].id, "github")
        assert known is not None
        details = Details(USERS[0]).sealed(old.sealed, USERS[0].id, "removed")
        await old.records.put(replace(known, provider="removed", details=details))
        return await reencrypt(keys.connections(NEW, OLD))

    result = keys.run(main())
    assert not result.finished
    assert result.absent == {"removed": 1}
    assert (result.tokens, result.records, result.failed) == (2, 3, 0)


def test_a_record_that_gateways_change_meanwhile_is_read_again(
    keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        await connect(keys.connections(OLD), 1)
        both = keys.connections(NEW, OLD)
        records, calls = type(both.records), [0]
        real = records.change

        async def change(self: Any, connection: Any, **options: Any) -> bool:
            calls[0] += 1
            if calls[0] == 1:
                assert await real(
                    self, replace(connection, used_at=77.0, details="gone"), events=()
                )
                known = await self.connection(connection.user, connection.provider)
                assert await real(self, replace(known, details=before[0]))
                return False
            return await real(self, connection, **options)

        known = await both.records.connection(USERS[0].id, "github")
        assert known is not None
        before = [known.details]
        monkeypatch.setattr(records, "change", change)
        assert (await reencrypt(both)).finished
        known = await both.records.connection(USERS[0].id, "github")
        assert known is not None
        assert known.used_at == 77.0, "the change of the gateway is kept"

    keys.run(main())
