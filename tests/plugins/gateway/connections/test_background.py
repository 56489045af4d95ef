"""The background work: idle refreshes, broken connections, webhooks and the audit trail."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from standardwebhooks import Webhook as Receiver

from grantway import Token
from grantway._exceptions import StoreSaveError, StoreUnreadableError
from grantway_plugins.gateway._connections._background import worker as worker_module
from grantway_plugins.gateway._connections._background.saving import save_activity
from grantway_plugins.gateway._connections._webhook.webhook import DELAYS
from grantway_plugins.gateway._connections.connection import Connection
from grantway_plugins.gateway._connections.service import Connections
from grantway_plugins.gateway._connections.tokens import ConnectionTokens
from grantway_plugins.gateway._metrics import GatewayMetrics
from tests.faults import Act, FaultServer, respond, stall
from tests.plugins.gateway.connections.scenes import (
    ANN,
    eventually,
    gateway_file,
    login,
    run_file,
    worker_of,
)
from tests.plugins.gateway.connections.test_webhook import NEW
from tests.plugins.gateway.running.conftest import Backends

Open = Callable[..., Connections]
ABOUT = (ANN.id, "github")
ALL = 'audit_activity = "all"'


@pytest.fixture
def metrics() -> GatewayMetrics:
    return GatewayMetrics(CollectorRegistry())


@pytest.fixture
def opened(backends: Backends, tmp_path: Path, metrics: GatewayMetrics) -> Iterator[Open]:
    """Return a function that opens the connections of a gateway."""
    with ExitStack() as running:

        def start(**options: Any) -> Connections:
            runtime, connections = run_file(gateway_file(backends, tmp_path, **options), metrics)
            running.callback(runtime.components.close)
            return connections

        yield start


@pytest.fixture
def served() -> Iterator[Callable[..., FaultServer]]:
    """Return a function that starts a scripted server."""
    with ExitStack() as running:
        yield lambda *script: running.enter_context(FaultServer(*script))


@asynccontextmanager
async def working(connections: Connections, **options: Any) -> AsyncIterator[None]:
    """Run a worker for the block."""
    task = asyncio.create_task(worker_of(connections, **options).run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def record(connections: Connections) -> Connection:
    """Return the record of the connection."""
    found = await connections.records.connection(*ABOUT)
    assert found is not None
    return found


async def make_due(connections: Connections, at: float = 1.0) -> None:
    """Make the connection due."""
    assert await connections.records.change(replace(await record(connections), due_at=at))


async def names(connections: Connections) -> list[str]:
    """Return the names of the events of the audit trail, oldest first."""
    return [each.name for each in reversed(await connections.records.history(ANN.id))]


def value(metrics: GatewayMetrics, name: str, **labels: str) -> float:
    """Return the value of a metric."""
    return metrics._registry.get_sample_value(name, labels) or 0.0


def webhooks(metrics: GatewayMetrics, outcome: str) -> float:
    """Return the number of attempts to deliver a webhook with an outcome."""
    return value(metrics, "grantway_connection_webhooks_total", outcome=outcome)


def webhook_of(server: FaultServer) -> str:
    """Return the setting of a webhook."""
    return f'webhook = {{ url = "{server.url}/hooks", secret = "{NEW}" }}'


# --- Idle connections -----------------------------------------------------------------------------


def test_an_idle_connection_is_refreshed_with_rotation(
    opened: Open, backends: Backends, metrics: GatewayMetrics
) -> None:
    connections = opened(connections=ALL)
    token = login(connections, backends.issuer)

    async def main() -> Token:
        await connections.connected(ANN, "github", token)
        before = await record(connections)
        assert 0.9 * 86_400 <= before.due_at - time.time() <= 86_400
        await make_due(connections)
        async with working(connections):
            await eventually(
                lambda: value(
                    metrics,
                    "grantway_connection_refreshes_total",
                    provider="github",
                    outcome="refreshed",
                )
            )
        after = await record(connections)
        assert after.refreshed_at > before.refreshed_at
        assert after.due_at > time.time() + 0.8 * 86_400
        assert await names(connections) == ["connected", "refreshed"]
        source = ConnectionTokens(connections, "github").credential(ANN.id)
        return await source.token_async()

    new = asyncio.run(main())
    assert new.access_token != token.access_token
    assert new.refresh_token != token.refresh_token


def test_a_provider_that_is_down_does_not_break_connections(
    opened: Open, served: Callable[..., FaultServer], metrics: GatewayMetrics
) -> None:
    provider = served(respond(503, {"error": "temporarily_unavailable"}))
    connections = opened(url=provider.url)
    held = Token("at", refresh_token="rt", expires_at=time.time() + 3600)

    async def main() -> Token:
        await connections.connected(ANN, "github", held)
        await make_due(connections)
        async with working(connections, lease=100.0):
            await eventually(
                lambda: value(
                    metrics,
                    "grantway_connection_refreshes_total",
                    provider="github",
                    outcome="failed",
                )
            )
        after = await record(connections)
        assert after.state == "connected"
        assert 50 < after.due_at - time.time() <= 100, "it is tried again after the lease"
        return await ConnectionTokens(connections, "github").credential(ANN.id).token_async()

    assert asyncio.run(main()) == held
    assert len(provider.requests) >= 1


def test_a_connection_without_a_refresh_token_is_reported_when_it_ends(opened: Open) -> None:
    connections = opened()

    async def main() -> None:
        ended = Token("at", expires_at=time.time() - 100)
        await connections.connected(ANN, "github", ended)
        async with working(connections):
            await eventually(lambda: _is_broken(connections))
        (event, _) = await connections.records.history(ANN.id)
        assert (event.name, event.reason) == ("broken", "expired")

    asyncio.run(main())


def test_many_due_connections_are_spread_by_the_rate(
    opened: Open, served: Callable[..., FaultServer]
) -> None:
    number = iter(range(10_000))

    def issue(stage: Any) -> bool:
        count = next(number)
        body = {"access_token": f"at{count}", "refresh_token": f"rt{count}", "expires_in": 3600}
        return respond(200, {"token_type": "Bearer", **body})(stage)

    provider = served(issue)
    connections = opened(url=provider.url)

    async def main() -> None:
        for count in range(300):
            user = replace(ANN, subject=f"user-{count}")
            await connections.connected(
                user, "github", Token(f"t{count}", refresh_token=f"r{count}")
            )
            known = await connections.records.connection(user.id, "github")
            assert known is not None
            await connections.records.change(replace(known, due_at=1.0))
        started = time.monotonic()
        async with working(connections, rate=50.0, at_once=4):
            await eventually(lambda: len(provider.requests) >= 100)
        seconds = time.monotonic() - started
        assert len(provider.requests) <= 50 * seconds + 5

    asyncio.run(main())


def test_a_provider_that_is_not_in_the_file_any_more_waits(opened: Open) -> None:
    connections = opened()

    async def main() -> None:
        await connections.records.put(
            Connection(ANN.id, "removed", "connected", 1.0, 1.0, None, 1.0, "")
        )
        async with working(connections):
            await eventually(_waits)

    async def _waits() -> bool:
        known = await connections.records.connection(ANN.id, "removed")
        assert known is not None
        return known.due_at > time.time() + 80_000

    asyncio.run(main())


async def _is_broken(connections: Connections) -> bool:
    return (await record(connections)).state == "broken"


# --- Broken connections ---------------------------------------------------------------------------


def rejecting() -> Act:
    """Return a script step that rejects a refresh token."""
    return respond(400, {"error": "invalid_grant"})


def test_a_broken_connection_is_reported_once_although_several_gateways_notice(
    opened: Open,
    served: Callable[..., FaultServer],
    metrics: GatewayMetrics,
    caplog: pytest.LogCaptureFixture,
) -> None:
    receiver = served(respond(204, b""))
    connections = opened(url=served(rejecting()).url, connections=webhook_of(receiver))

    async def main() -> None:
        await connections.connected(ANN, "github", Token("at", refresh_token="r", expires_at=1.0))
        source = ConnectionTokens(connections, "github")
        await make_due(connections)
        async with working(connections), working(connections):
            tries = [source.credential(ANN.id).token_async() for _ in range(20)]
            results = await asyncio.gather(*tries, return_exceptions=True)
            assert {type(each).__name__ for each in results} == {"ConnectionNeededError"}
            await asyncio.gather(*(connections.broken(*ABOUT, "invalid_grant") for _ in range(20)))
            await eventually(lambda: webhooks(metrics, "delivered"))
            await asyncio.sleep(0.2)
        assert await names(connections) == ["connected", "broken"]

    with caplog.at_level(logging.INFO, "grantway.gateway.audit"):
        asyncio.run(main())
    assert len(receiver.requests) == 1
    (request,) = receiver.requests
    message = Receiver(NEW).verify(request.body, dict(request.headers))
    assert message["type"] == "connection.broken"
    assert message["data"] == {
        "provider": "github",
        "user": ANN.id,
        "issuer": ANN.issuer,
        "subject": ANN.subject,
        "reason": "invalid_grant",
        "connect_url": "https://gateway.example.com/connect/github",
    }
    assert (
        value(metrics, "grantway_connection_events_total", provider="github", event="broken") == 1
    )
    assert webhooks(metrics, "delivered") == 1
    lines = [each.getMessage() for each in caplog.records if "audit" in each.name]
    assert lines == [
        f"connected provider=github user={ANN.id}",
        f"broken provider=github user={ANN.id} reason=invalid_grant",
    ]


def test_a_late_rejection_does_not_break_a_new_login(opened: Open) -> None:
    connections = opened()

    async def main() -> None:
        await connections.connected(ANN, "github", Token("at", refresh_token="rt"))
        assert not await connections.broken(*ABOUT, "invalid_grant")
        assert (await record(connections)).state == "connected"

    asyncio.run(main())


# --- Webhooks -------------------------------------------------------------------------------------


async def break_it(connections: Connections) -> None:
    """Report the connection as broken."""
    await connections.connected(ANN, "github", Token("at", expires_at=1.0))
    assert await connections.broken(*ABOUT, "expired")


def test_a_webhook_is_sent_again_with_the_same_id_until_it_is_received(
    opened: Open,
    served: Callable[..., FaultServer],
    monkeypatch: pytest.MonkeyPatch,
    metrics: GatewayMetrics,
) -> None:
    receiver = served(respond(500, {}), respond(503, {}), respond(200, {}))
    connections = opened(connections=webhook_of(receiver))
    now = [time.time()]
    monkeypatch.setattr(connections, "clock", lambda: now[0])

    async def main() -> None:
        await break_it(connections)
        async with working(connections):
            await eventually(lambda: webhooks(metrics, "failed") == 1)
            await asyncio.sleep(0.1)
            assert len(receiver.requests) == 1, "it waits before the next attempt"
            now[0] += 1.2 * DELAYS[0]
            await eventually(lambda: webhooks(metrics, "failed") == 2)
            now[0] += 1.2 * DELAYS[1]
            await eventually(lambda: webhooks(metrics, "delivered"))
            now[0] += 10 * DELAYS[-1]
            await asyncio.sleep(0.1)

    asyncio.run(main())
    assert len(receiver.requests) == 3
    assert len({each.headers["webhook-id"] for each in receiver.requests}) == 1
    for request in receiver.requests:
        assert Receiver(NEW).verify(request.body, dict(request.headers))
    assert webhooks(metrics, "failed") == 2


@pytest.mark.parametrize(
    ("status", "outcome", "attempts"), [(410, "refused", 1), (500, "given_up", 8)]
)
def test_a_message_that_cannot_be_delivered_is_dropped_with_an_error(
    status: int,
    outcome: str,
    attempts: int,
    *,
    opened: Open,
    served: Callable[..., FaultServer],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    metrics: GatewayMetrics,
) -> None:
    receiver = served(respond(status, {}))
    connections = opened(connections=webhook_of(receiver))
    now = [time.time()]
    monkeypatch.setattr(connections, "clock", lambda: now[0])

    async def main() -> None:
        await break_it(connections)
        async with working(connections):
            for number in range(1, attempts):
                await eventually(lambda: webhooks(metrics, "failed") == number)  # noqa: B023
                now[0] += 1.2 * DELAYS[-1]
            await eventually(lambda: webhooks(metrics, outcome))
        assert await connections.records.claim_jobs(now[0] + 1e9, lease=1.0, limit=10) == []

    asyncio.run(main())
    assert len(receiver.requests) == attempts
    (line,) = [each.getMessage() for each in caplog.records if "not delivered" in each.getMessage()]
    assert str(status) in line


def test_a_webhook_of_a_gateway_that_died_is_sent_by_another_one(
    opened: Open, served: Callable[..., FaultServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = served(respond(200, {}))
    connections = opened(connections=webhook_of(receiver))
    now = [time.time()]
    monkeypatch.setattr(connections, "clock", lambda: now[0])

    async def main() -> None:
        await break_it(connections)
        assert await connections.records.claim_jobs(now[0], lease=300.0, limit=10)  # and it dies
        async with working(connections):
            await asyncio.sleep(0.1)
            assert not receiver.requests
            now[0] += 301.0
            await eventually(lambda: receiver.requests)

    asyncio.run(main())


def test_nothing_is_reported_if_the_user_has_connected_again(
    opened: Open, served: Callable[..., FaultServer]
) -> None:
    receiver = served(respond(200, {}))
    connections = opened(connections=webhook_of(receiver))

    async def main() -> None:
        await break_it(connections)
        await connections.connected(ANN, "github", Token("at", refresh_token="rt"))
        async with working(connections):
            await eventually(lambda: not connections.records._jobs.entries)

    asyncio.run(main())
    assert not receiver.requests


def test_a_receiver_that_hangs_does_not_stop_refreshes(
    opened: Open, served: Callable[..., FaultServer], backends: Backends, metrics: GatewayMetrics
) -> None:
    receiver = served(stall)
    connections = opened(connections=webhook_of(receiver))
    token = login(connections, backends.issuer)

    async def main() -> None:
        await break_it(connections)
        async with working(connections, at_once=1):
            await eventually(lambda: receiver.connections)
            other = replace(ANN, subject="other")
            await connections.connected(other, "github", token)
            known = await connections.records.connection(other.id, "github")
            assert known is not None
            await connections.records.change(replace(known, due_at=1.0))
            await eventually(
                lambda: value(
                    metrics,
                    "grantway_connection_refreshes_total",
                    provider="github",
                    outcome="refreshed",
                )
            )

    asyncio.run(main())


# --- Activity -------------------------------------------------------------------------------------


def test_uses_are_in_the_audit_trail_and_the_record(opened: Open, metrics: GatewayMetrics) -> None:
    connections = opened(connections=ALL)

    async def main() -> None:
        await connections.connected(ANN, "github", Token("at", refresh_token="rt"))
        source = ConnectionTokens(connections, "github").credential(ANN.id)
        for _ in range(7):
            await source.token_async()
        async with working(connections):
            await eventually(
                lambda: value(
                    metrics, "grantway_connection_events_total", provider="github", event="used"
                )
            )
            await source.token_async()
        used, connected = (await connections.records.history(ANN.id))[1:]
        assert (used.name, used.count, connected.name) == ("used", 7, "connected")
        (last,) = (await connections.records.history(ANN.id))[:1]
        assert (last.name, last.count) == ("used", 1), "a gateway that stops saves all uses"
        assert time.time() - ((await record(connections)).used_at or 0) < 20

    asyncio.run(main())


def test_a_lost_record_is_created_again_on_use(opened: Open) -> None:
    connections = opened()

    async def main() -> None:
        await connections.connected(ANN, "github", Token("at", refresh_token="rt"))
        await connections.records.remove(*ABOUT)
        source = ConnectionTokens(connections, "github").credential(ANN.id)
        await source.token_async()
        await save_activity(connections)
        known = await record(connections)
        assert known.state == "connected"
        assert time.time() < known.due_at < math.inf
        await connections.disconnect(ANN, "github")
        connections.activity.used(*ABOUT)
        await save_activity(connections, everything=True)
        assert await connections.records.connection(*ABOUT) is None, "it was disconnected"

    asyncio.run(main())


def test_activity_of_a_provider_that_left_the_file_does_not_stop_the_work(opened: Open) -> None:
    connections = opened()
    connections.activity.used(ANN.id, "removed")

    async def main() -> None:
        await connections.connected(ANN, "github", Token("at", refresh_token="rt"))
        connections.activity.used(*ABOUT)
        async with working(connections):
            await eventually(lambda: not len(connections.activity))
        assert await names(connections) == ["connected", "used"]

    asyncio.run(main())


def test_activity_survives_a_failing_database_and_is_logged_once(
    opened: Open,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    backends: Backends,
) -> None:
    monkeypatch.setattr(worker_module, "LONGEST_PAUSE", 0.05)
    connections = opened(connections=ALL)
    token = login(connections, backends.issuer)
    failing = [True]
    real = type(connections.records).change

    async def change(self: Any, *args: Any, **options: Any) -> bool:
        if failing[0]:
            raise StoreSaveError("The database is full")
        return await real(self, *args, **options)

    async def main() -> None:
        await connections.connected(ANN, "github", token)
        monkeypatch.setattr(type(connections.records), "change", change)
        credential = connections.credential("github", ANN.id)
        new = await credential.refresh_async()
        async with working(connections):
            await eventually(lambda: caplog.records)
            await asyncio.sleep(0.3)
            assert await names(connections) == ["connected"]
            assert (await credential.token_async()).access_token == new.access_token
            failing[0] = False
            await eventually(_saved)

    async def _saved() -> bool:
        return await names(connections) == ["connected", "refreshed"]

    asyncio.run(main())
    lines = [each.getMessage() for each in caplog.records if each.name == "grantway.gateway"]
    assert lines == [
        "Background work on connections is paused: The database is full",
        "Background work on connections continues",
    ]


def test_a_database_that_cannot_be_read_does_not_end_the_work(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "LONGEST_PAUSE", 0.05)
    connections = opened()
    calls = [0]
    real = type(connections.records).claim_due

    async def claim_due(self: Any, *args: Any, **options: Any) -> Any:
        calls[0] += 1
        if calls[0] < 3:
            raise StoreUnreadableError("unreachable")
        if calls[0] == 3:
            raise RuntimeError("a mistake in the program")
        return await real(self, *args, **options)

    async def main() -> None:
        monkeypatch.setattr(type(connections.records), "claim_due", claim_due)
        async with working(connections):
            await eventually(lambda: calls[0] > 5)

    asyncio.run(main())


def test_counts_are_shown_and_removed_ones_become_zero(
    opened: Open, metrics: GatewayMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "COUNT_EVERY", 0.01)
    connections = opened()

    def shown(state: str) -> float:
        return value(metrics, "grantway_connections", provider="github", state=state)

    async def main() -> None:
        await connections.connected(ANN, "github", Token("at", expires_at=1e12))
        async with working(connections):
            await eventually(lambda: shown("connected") == 1)
            await connections.broken(*ABOUT, "invalid_grant")
            await eventually(lambda: (shown("connected"), shown("broken")) == (0, 1))

    asyncio.run(main())
    text = metrics.render()[0].decode()
    assert ANN.id not in text


def test_no_log_or_record_contains_a_token(
    opened: Open, backends: Backends, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    connections = opened(connections=ALL)
    token = login(connections, backends.issuer)

    async def main() -> str:
        await connections.connected(ANN, "github", token)
        await make_due(connections)
        async with working(connections):
            await eventually(_refreshed)
        found = [await record(connections), *await connections.records.history(ANN.id)]
        return json.dumps([str(each) for each in found]) + (await record(connections)).details

    async def _refreshed() -> bool:
        return "refreshed" in await names(connections)

    shown = asyncio.run(main()) + caplog.text
    assert token.refresh_token
    for secret in (token.access_token, token.refresh_token):
        assert secret not in shown
