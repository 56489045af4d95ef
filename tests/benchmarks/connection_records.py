"""Cost of the records of connections, with 100,000 of them.

Run ``python -m tests.benchmarks.connection_records`` for the table in
``docs/explanation/connections.md``. Calls follow each other in one event loop, to a server on the
same machine. The numbers are 10th percentiles, which depend less on other load than medians.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, replace
from typing import Any

import sqlalchemy as sa

from grantway_plugins.gateway._connections._records.memory import MemoryRecords
from grantway_plugins.gateway._connections._records.redis import RedisRecords
from grantway_plugins.gateway._connections._records.sql import SqlRecords
from grantway_plugins.gateway._connections.connection import Connection, ConnectionEvent
from grantway_plugins.gateway._connections.records import ConnectionRecords, Job
from grantway_plugins.gateway._connections.user import user_id
from tests.postgres import postgres_server
from tests.valkey import valkey_server

#: Connections that are written at once.
_AT_ONCE, _BATCH = 8, 5_000
_DETAILS = "c1." + "x" * 300


@contextmanager
def opened(kind: str) -> Iterator[ConnectionRecords]:
    """Open records in a new database."""
    if kind == "memory":
        yield MemoryRecords()
    elif kind == "PostgreSQL":
        with postgres_server() as postgres:
            yield SqlRecords(postgres.url, timeout=60.0)
    else:
        with valkey_server(appendfsync="everysec") as valkey:
            yield RedisRecords(valkey.url, timeout=60.0)


def connection(number: int, due_at: float) -> Connection:
    """Return a connection."""
    user = user_id("https://login.example.com", str(number))
    return Connection(user, "github", "connected", 1.0, 1.0, None, due_at, _DETAILS)


async def measure(records: ConnectionRecords, number: int, times: int) -> dict[str, float]:
    """Save connections, and return the cost of each call in seconds."""
    await _fill(records, number)
    new, claimed = itertools.count(number), itertools.count(1)
    known = [connection(each * number // times, 0.0) for each in range(times)]
    current = iter([await records.connection(each.user, each.provider) for each in known])
    users, pages = itertools.cycle(known), itertools.cycle(known)

    async def change() -> None:
        saved = next(current)
        assert saved is not None
        assert await records.change(replace(saved, used_at=2.0))

    async def change_with_job() -> None:
        each = next(new)
        event = ConnectionEvent("user", "github", "broken", 1.0)
        await records.put(
            connection(each, 1e12), events=[event], jobs=[Job(f"j{each}", 0.0, _DETAILS)]
        )

    async def claim() -> None:
        assert len(await records.claim_due(next(claimed) * 16.0, lease=1e9, limit=16)) == 16

    calls: dict[str, Callable[[], Awaitable[Any]]] = {
        "`connection`": lambda: records.connection(next(users).user, "github"),
        "`put`": lambda: records.put(connection(next(new), 1e12)),
        "`put` with an event and a job": change_with_job,
        "`change`": change,
        "`claim_due`, 16 connections": claim,
        "`claim_due`, nothing is due": lambda: records.claim_due(-1.0, lease=9.0, limit=16),
        "`claim_jobs`, up to 16": lambda: records.claim_jobs(1.0, lease=9.0, limit=16),
        "`page`, 100 connections": lambda: records.page(next(pages).id, 100),
        "`counts`": records.counts,
    }
    found = {}
    for name, call in calls.items():
        seconds = []
        for _ in range(times):
            began = time.perf_counter()
            await call()
            seconds.append(time.perf_counter() - began)
        found[name] = statistics.quantiles(seconds, n=10)[0]
    await records.close()
    return found


async def _fill(records: ConnectionRecords, number: int) -> None:
    made = (connection(each, due_at=float(each)) for each in range(number))
    if isinstance(records, SqlRecords):
        await records.page()  # creates the tables
        table = records._database.tables.content[0]
        with records._database.engine.connect() as raw:
            while rows := [astuple(each) for each in itertools.islice(made, _BATCH)]:
                names = table.columns.keys()
                raw.execute(sa.insert(table), [dict(zip(names, row, strict=True)) for row in rows])
            raw.exec_driver_sql(f"ANALYZE {table.name}")
        return

    async def save() -> None:
        for each in made:
            await records.put(each)

    await asyncio.gather(*(save() for _ in range(_AT_ONCE)))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=300, help="calls of each kind")
    options = parser.parse_args()
    columns = {}
    for kind in ("memory", "PostgreSQL", "Valkey"):
        with opened(kind) as records:
            columns[kind] = asyncio.run(measure(records, options.connections, options.times))
    print(f"| {options.connections:,} connections, µs | {' | '.join(columns)} |")
    print(f"|---|{'--:|' * len(columns)}")
    for name in columns["memory"]:
        cells = (f"{found[name] * 1e6:,.0f}" for found in columns.values())
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
