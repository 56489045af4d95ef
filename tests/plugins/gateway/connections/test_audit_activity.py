"""The audit trail grows slowly, although tokens are refreshed and used all day."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from grantway import Token
from grantway_plugins.gateway._connections._background.saving import save_activity
from grantway_plugins.gateway._connections.connection import ConnectionEvent
from grantway_plugins.gateway._connections.service import Connections
from tests.plugins.gateway.connections.scenes import ANN, gateway_file, run_file
from tests.plugins.gateway.running.conftest import Backends

Open = Callable[[str], list[Connections]]
ABOUT = (ANN.id, "github")
HOUR, DAYS = 3_600.0, 4
#: Midnight in UTC.
MIDNIGHT = 20_000 * 24 * HOUR


class Clock:
    """An adjustable clock."""

    now = MIDNIGHT + 60.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def opened(backends: Backends, tmp_path: Path, clock: Clock) -> Iterator[Open]:
    """Return a function that opens the connections of two gateways with one database."""
    with ExitStack() as running:

        def start(lines: str) -> list[Connections]:
            store = f'{{ kind = "sql", url = "sqlite:///{tmp_path}/tokens.db" }}'
            file = gateway_file(backends, tmp_path, store=store, connections=lines)
            found = []
            for _ in range(2):
                runtime, connections = run_file(file)
                running.callback(runtime.components.close)
                connections.clock = connections.activity._clock = clock
                found.append(connections)
            return found

        yield start


async def pass_days(gateways: list[Connections], clock: Clock, *, used: bool) -> None:
    """Connect a user, and refresh the token each hour, in one gateway and then the other."""
    new = Token("at", refresh_token="rt")
    await gateways[0].connected(ANN, "github", new)
    for hour in range(DAYS * 24):
        for gateway in gateways:
            if used:
                gateway.activity.used(*ABOUT)
        gateways[hour % 2].activity.refreshed(60.0, *ABOUT, new)
        for gateway in gateways:
            await save_activity(gateway)
        clock.now += HOUR


async def events(connections: Connections) -> list[ConnectionEvent]:
    """Return the events of the audit trail after the login, oldest first."""
    connected, *found = reversed(await connections.records.history(ANN.id, 10_000))
    assert connected.name == "connected"
    return found


@pytest.mark.parametrize(
    ("lines", "used", "expected"),
    [
        ("", True, {"used": DAYS}),
        ("", False, {"refreshed": DAYS - 1}),  # the user connected on the first day
        ('audit_activity = "all"', True, {"used": 2 * DAYS * 24, "refreshed": DAYS * 24}),
        ('audit_activity = "none"', True, {}),
    ],
)
def test_the_trail_has_one_entry_a_day(
    lines: str, used: bool, expected: dict[str, int], opened: Open, clock: Clock
) -> None:
    gateways = opened(lines)

    async def main() -> list[ConnectionEvent]:
        await pass_days(gateways, clock, used=used)
        known = await gateways[0].records.connection(*ABOUT)
        assert known is not None
        assert known.refreshed_at == clock.now - HOUR, "the last refresh is saved"
        return await events(gateways[0])

    found = asyncio.run(main())
    assert Counter(each.name for each in found) == expected
    if not lines:
        assert len({each.at // (24 * HOUR) for each in found}) == len(found)


def test_the_log_has_every_entry(
    opened: Open, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "grantway.gateway.audit")
    asyncio.run(pass_days(opened(""), clock, used=True))
    lines = [each.getMessage() for each in caplog.records if "audit" in each.name]
    names = Counter(each.split()[0] for each in lines)
    assert names == {"connected": 1, "used": 2 * DAYS * 24, "refreshed": DAYS * 24}


def test_a_repaired_connection_is_recorded_on_the_same_day(opened: Open, clock: Clock) -> None:
    """Otherwise the trail would end with ``broken``, although the connection works."""
    gateway, _other = opened('audit_activity = "none"')

    async def main() -> list[str]:
        await gateway.connected(ANN, "github", Token("at", expires_at=1.0))
        assert await gateway.broken(*ABOUT, "invalid_grant")
        new = Token("new", refresh_token="rotated")
        await gateway.credential("github", ANN.id).accept_async(new)
        gateway.activity.refreshed(60.0, *ABOUT, new)
        await save_activity(gateway)
        return [each.name for each in await events(gateway)]

    assert asyncio.run(main()) == ["broken", "refreshed"]
