"""A gateway notices that its keys do not decrypt the stored tokens of users."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from grantway import Token
from grantway_plugins.gateway._connections import token_check
from grantway_plugins.gateway._metrics import GatewayMetrics
from grantway_plugins.gateway._running.readiness import health_of, readiness
from grantway_plugins.gateway._running.runtime import Runtime
from grantway_plugins.stores import generate_key
from tests.plugins.gateway.connections.scenes import (
    ANN,
    BEN,
    eventually,
    gateway_file,
    run_file,
    worker_of,
)
from tests.plugins.gateway.connections.test_configuration import KEY
from tests.plugins.gateway.running.conftest import Backends
from tests.valkey import ValkeyServer, valkey_server

Open = Callable[[str], Runtime]
OTHER = generate_key()
GAUGE = "grantway_connection_tokens_unreadable"


@pytest.fixture
def metrics() -> GatewayMetrics:
    return GatewayMetrics(CollectorRegistry())


@pytest.fixture
def opened(backends: Backends, tmp_path: Path, metrics: GatewayMetrics) -> Iterator[Open]:
    """Return a function that opens a gateway with other keys for the same database."""
    store = f'{{ kind = "sql", url = "sqlite:///{tmp_path}/tokens.db" }}'
    path = gateway_file(backends, tmp_path, store=store)
    text = path.read_text()
    with ExitStack() as running:

        def start(keys: str) -> Runtime:
            path.write_text(text.replace(KEY, keys))
            runtime, _connections = run_file(path, metrics)
            running.callback(runtime.components.close)
            return runtime

        yield start


async def connect(runtime: Runtime, user: Any) -> None:
    """Connect a user."""
    assert runtime.connections is not None
    await runtime.connections.connected(user, "github", Token("at", refresh_token="rt"))


async def shown(runtime: Runtime, rule: str) -> dict[str, Any]:
    """Return the members of ``/readyz``, without the issuers of callers, which do not run."""
    parts = {name: each for name, each in (await health_of(runtime)).items() if name != "inbound"}
    return readiness(parts, rule, stopping=False)


def test_tokens_of_another_key_are_reported(opened: Open, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        right = opened(KEY)
        assert (await shown(right, "all"))["connections"] == {"status": "ok"}
        for number in range(30):
            await connect(right, replace(ANN, subject=f"user-{number}"))
        assert (await shown(opened(KEY), "all"))["connections"] == {"status": "ok"}
        wrong = opened(OTHER)
        found = await shown(wrong, "all")
        connections = found["connections"]
        assert (found["ready"], found["status"]) == (False, "degraded")
        assert (connections["status"], connections["checked"], connections["unreadable"]) == (
            "failing",
            10,
            10,
        )
        assert "Add that key after the newest" in connections["error_description"]
        assert (await shown(wrong, "any"))["ready"] is True, "users have to be able to connect"
        assert (await shown(opened(f"{OTHER},{KEY}"), "all"))["connections"] == {"status": "ok"}

    asyncio.run(main())
    lines = [each.getMessage() for each in caplog.records if each.levelno >= logging.ERROR]
    (line,) = [each for each in lines if "stored tokens" in each]
    assert line.startswith("10 of 10 stored tokens of users cannot be read: ")
    assert KEY not in line
    assert OTHER not in line


def test_tokens_of_a_forgotten_key_degrade_until_it_is_back(
    opened: Open, monkeypatch: pytest.MonkeyPatch, metrics: GatewayMetrics
) -> None:
    monkeypatch.setattr(token_check, "FRESH", 0.0)

    async def main() -> None:
        await connect(opened(KEY), ANN)
        part = opened(OTHER)
        await connect(part, BEN)
        found = await shown(part, "all")
        assert (found["ready"], found["connections"]["status"]) == (True, "degraded")
        assert (found["connections"]["checked"], found["connections"]["unreadable"]) == (2, 1)
        assert part.connections is not None
        working = asyncio.create_task(worker_of(part.connections).run())
        await eventually(lambda: metrics._registry.get_sample_value(GAUGE) == 1)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        await part.connections.disconnect(ANN, "github")
        assert (await shown(part, "all"))["connections"] == {"status": "ok"}

    asyncio.run(main())


def test_a_store_that_fails_is_not_reported_twice(
    backends: Backends, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_check, "FRESH", 0.0)

    async def main(runtime: Runtime, server: ValkeyServer) -> None:
        await connect(runtime, ANN)
        assert (await shown(runtime, "all"))["connections"] == {"status": "ok"}
        server.stop()
        found = await shown(runtime, "all")
        assert found["connections"] == {"status": "ok"}
        assert runtime.connections is not None
        assert (await runtime.connections.token_check.health()).checked == 1
        await runtime.components.close_async()

    with valkey_server() as server:
        store = f'{{ kind = "redis", url = "{server.url}" }}'
        runtime, _connections = run_file(gateway_file(backends, tmp_path, store=store))
        asyncio.run(main(runtime, server))
