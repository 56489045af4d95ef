"""Tests of the records with Sentinels and in a cluster, whose primary is killed."""

from __future__ import annotations

import asyncio
import functools
import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from grantway._exceptions import StoreError
from grantway_plugins.gateway._connections._records.redis import RedisRecords
from tests.plugins.gateway.connections.contract import (
    ALICE,
    DatabaseContract,
    connection,
    event,
    job,
    numbers,
)
from tests.valkey_groups import ValkeyGroup, cluster_group, sentinel_group
from tests.waiting import PATIENCE, until

pytestmark = pytest.mark.slow

PREFIXES = (f"t{number}:" for number in itertools.count())


@pytest.fixture(scope="module")
def sentinels() -> Iterator[ValkeyGroup]:
    with sentinel_group() as group:
        yield group


@pytest.fixture(scope="module")
def cluster() -> Iterator[ValkeyGroup]:
    with cluster_group() as group:
        yield group


@pytest.fixture(params=["sentinels", "cluster"])
def group(request: pytest.FixtureRequest) -> ValkeyGroup:
    """Both groups, complete again after the failover of an earlier test."""
    found: ValkeyGroup = request.getfixturevalue(request.param)
    found.wait_for_replicas({"sentinels": 2, "cluster": 3}[request.param])
    return found


@pytest.fixture
def reopen(group: ValkeyGroup) -> Callable[[], RedisRecords]:
    return functools.partial(
        RedisRecords, group.url, prefix=next(PREFIXES), failover=PATIENCE / 2, timeout=2.0
    )


class TestGroups(DatabaseContract):
    """The contract for several servers."""

    examples = 2


def test_confirmed_changes_survive_a_failover(
    group: ValkeyGroup, reopen: Callable[[], RedisRecords]
) -> None:
    """Gateways save, change and claim during the failover; no confirmed change is missing."""
    stopped = asyncio.Event()

    async def gateway(first: int, confirmed: list[int], claimed: list[Any]) -> None:
        records = reopen()
        for number in itertools.count(first, 3):
            if stopped.is_set():
                break
            provider = f"x{number}"
            try:
                await records.put(connection(provider=provider, due_at=1e9))
                saved = await records.connection(ALICE, provider)
                assert saved is not None
                entries = {
                    "events": [event("broken", at=float(number), provider=provider)],
                    "jobs": [job(provider, 100.0)],
                }
                assert await records.change(replace(saved, state="broken"), **entries)
                claimed += await records.claim_jobs(100.0, lease=1000.0, limit=1)
            except StoreError:
                continue  # not confirmed
            confirmed.append(number)
        await records.close()

    async def main() -> None:
        confirmed: list[int] = []
        claimed: list[Any] = []
        working = [asyncio.create_task(gateway(each, confirmed, claimed)) for each in range(3)]
        probe = reopen()
        await asyncio.sleep(0.3)
        killed = group.primary(probe._base)
        killed.stop()
        await asyncio.to_thread(group.wait_for_another_primary, killed, probe._base)
        # In the cluster, this is the only server that can confirm changes as a replica.
        await asyncio.to_thread(killed.restart)
        before = len(confirmed)
        await asyncio.to_thread(
            until,
            lambda: len(confirmed) >= before + 30 or any(each.done() for each in working),
        )
        stopped.set()
        await asyncio.gather(*working)
        found = await probe.connections(ALICE)
        broken = {each.provider for each in found if each.state == "broken"}
        assert broken >= {f"x{number}" for number in confirmed}
        events = {each.provider for each in await probe.history(ALICE, 10**6)}
        assert events >= {f"x{number}" for number in confirmed}
        # A claim whose response was lost is done after its lease, and no other claim is repeated.
        assert len({each.id for each in claimed}) == len(claimed)
        late = await probe.claim_jobs(1e9, lease=1.0, limit=10**6)
        assert set(numbers(late)) >= set(confirmed)
        await probe.close()
        await asyncio.to_thread(group.rejoin, killed, probe._base)

    asyncio.run(main())
