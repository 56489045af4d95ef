"""Users connect accounts with device codes, which a background job polls."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from grantway import Client, Token
from grantway._exceptions import ConnectionFailedError, StoreSaveError
from grantway_plugins.gateway._connections import device_logins as module
from grantway_plugins.gateway._connections.device_logins import PREFIX, DeviceLogin, DeviceLogins
from grantway_plugins.gateway._connections.records import Job
from grantway_plugins.gateway._connections.service import Connections
from grantway_plugins.issuer._browser_driver import BrowserDriver
from tests.plugins.gateway.connections.scenes import (
    ANN,
    BEN,
    eventually,
    gateway_file,
    run_file,
    worker_of,
)
from tests.plugins.gateway.running.conftest import Backends


@pytest.fixture
def connections(backends: Backends, tmp_path: Path) -> Iterator[Connections]:
    runtime, connections = run_file(gateway_file(backends, tmp_path, grant="device_code"))
    yield connections
    runtime.components.close()


@pytest.fixture
def later(connections: Connections, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the offset of the clock of the connections in a list."""
    offset = [0.0]
    monkeypatch.setattr(connections, "clock", lambda: time.time() + offset[0])
    return offset


async def begin(connections: Connections) -> DeviceLogin:
    """Start a login."""
    return await DeviceLogins(connections).begin(ANN, connections.providers["github"])


async def poll(connections: Connections, later: list[float]) -> None:
    """Do the job that is due next."""
    found = await DeviceLogins(connections).find(ANN.id, "github")
    later[0] += found.interval if found else 1.0
    for job in await connections.records.claim_jobs(connections.clock(), lease=300.0, limit=9):
        await DeviceLogins(connections).poll(job)


def decide(login: DeviceLogin, decision: str = "approve") -> None:
    """Approve or deny a login as its user."""
    assert login.verification_uri_complete
    with BrowserDriver() as browser:
        if decision == "approve":
            browser.approve_device(login.verification_uri_complete)
        else:
            browser.deny_device(login.verification_uri_complete)


async def jobs(connections: Connections) -> list[Job]:
    """Return all jobs."""
    return [*await connections.records.claim_jobs(1e12, lease=1.0, limit=9)]


def test_an_approved_login_connects_the_user_who_started_it(
    connections: Connections, later: list[float]
) -> None:
    async def ended() -> bool:
        return await DeviceLogins(connections).find(ANN.id, "github") is None

    async def main() -> None:
        login = await begin(connections)
        assert login.user_code
        assert login.verification_uri
        assert "device_code" not in repr(login)
        decide(login)
        later[0] += login.interval
        worker = asyncio.create_task(worker_of(connections).run())
        await eventually(lambda: connections.records.connections(ANN.id))
        await eventually(ended)
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
        assert await jobs(connections) == []
        assert await connections.records.connections(BEN.id) == []
        credential = connections.credential("github", ANN.id)
        assert (await credential.token_async()).refresh_token
        (event,) = await connections.records.history(ANN.id)
        assert event.name == "connected"

    asyncio.run(main())


def test_polls_wait_and_slow_down(connections: Connections, later: list[float]) -> None:
    async def main() -> None:
        login = await begin(connections)
        await poll(connections, later)  # pending
        await poll(connections, later)  # too early for the provider, whose clock did not move
        found = await DeviceLogins(connections).find(ANN.id, "github")
        assert found is not None
        assert found.interval == login.interval + 5.0
        (job,) = await jobs(connections)
        assert job.id == PREFIX + login.id
        assert job.attempts >= 2

    asyncio.run(main())


def test_a_denied_login_ends(connections: Connections, later: list[float]) -> None:
    async def main() -> None:
        decide(await begin(connections), "deny")
        await poll(connections, later)
        found = await DeviceLogins(connections).find(ANN.id, "github")
        assert found is not None
        assert found.problem == "access_denied"
        assert await jobs(connections) == []
        assert await connections.records.connections(ANN.id) == []

    asyncio.run(main())


def test_an_expired_login_ends(connections: Connections, later: list[float]) -> None:
    async def main() -> None:
        login = await begin(connections)
        later[0] += login.expires_at - time.time() + 1
        await poll(connections, later)
        found = await DeviceLogins(connections).find(ANN.id, "github")
        assert found is not None
        assert found.problem == "expired_token"
        later[0] += 1000.0
        assert await DeviceLogins(connections).find(ANN.id, "github") is None

    asyncio.run(main())


def test_a_newer_login_replaces_an_earlier_one(
    connections: Connections, later: list[float]
) -> None:
    async def main() -> None:
        first = await begin(connections)
        second = await begin(connections)
        decide(first)
        await poll(connections, later)
        assert await connections.records.connections(ANN.id) == []
        found = await DeviceLogins(connections).find(ANN.id, "github")
        assert found is not None
        assert found.id == second.id
        assert [each.id for each in await jobs(connections)] == [PREFIX + second.id]

    asyncio.run(main())


@pytest.mark.parametrize("approved", [False, True])
def test_a_login_that_begins_during_a_poll_replaces_the_polled_one(
    connections: Connections,
    later: list[float],
    monkeypatch: pytest.MonkeyPatch,
    *,
    approved: bool,
) -> None:
    real = Client.create_token_async
    begun: list[DeviceLogin] = []

    async def begin_meanwhile(self: Client, **params: Any) -> Token:
        begun.append(await begin(connections))
        return await real(self, **params)

    async def main() -> None:
        first = await begin(connections)
        if approved:
            decide(first)
        with monkeypatch.context() as patched:
            patched.setattr(Client, "create_token_async", begin_meanwhile)
            await poll(connections, later)
        found = await DeviceLogins(connections).find(ANN.id, "github")
        assert found is not None
        assert found.id == begun[0].id
        assert [each.id for each in await jobs(connections)] == [PREFIX + found.id]

    asyncio.run(main())


def test_a_gateway_that_stops_during_a_poll_saves_the_token(
    connections: Connections, later: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Client.create_token_async
    sent = asyncio.Event()

    async def slow(self: Client, **params: Any) -> Token:
        token = await real(self, **params)
        sent.set()
        await asyncio.sleep(0.2)
        return token

    async def main() -> None:
        login = await begin(connections)
        decide(login)
        later[0] += login.interval
        monkeypatch.setattr(Client, "create_token_async", slow)
        task = asyncio.create_task(worker_of(connections).run())
        await sent.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        (known,) = await connections.records.connections(ANN.id)
        assert known.state == "connected"

    asyncio.run(main())


def test_a_login_at_a_provider_that_is_down_goes_on(
    connections: Connections, later: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_self: Client, **_params: object) -> Token:
        raise ConnectionFailedError("The provider is down")

    async def main() -> None:
        login = await begin(connections)
        with monkeypatch.context() as patched:
            patched.setattr(Client, "create_token_async", fail)
            await poll(connections, later)
        found = await DeviceLogins(connections).find(ANN.id, "github")
        assert found is not None
        assert (found.problem, found.interval) == ("", 2 * login.interval)

    asyncio.run(main())


def test_a_token_that_cannot_be_saved_is_reported(
    connections: Connections, later: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PAUSE", 0.0)
    tries = []

    async def fail(_self: object, _user: object, _provider: str, token: Token) -> None:
        tries.append(token)
        raise StoreSaveError("The disk is full")

    async def main() -> None:
        decide(await begin(connections))
        monkeypatch.setattr(Connections, "connected", fail)
        await poll(connections, later)
        found = await DeviceLogins(connections).find(ANN.id, "github")
        assert found is not None
        assert found.problem == StoreSaveError.code
        assert len(tries) == 3

    asyncio.run(main())


def test_jobs_contain_no_secret(connections: Connections) -> None:
    async def main() -> None:
        login = await begin(connections)
        (job,) = await jobs(connections)
        assert json.loads(job.payload) == {"user": ANN.id, "provider": "github"}
        kept = await connections.records.kept(f"device {ANN.id} github", time.time())
        assert kept is not None
        assert login.device_code not in kept
        assert login.user_code not in kept

    asyncio.run(main())
