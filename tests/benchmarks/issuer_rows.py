"""Cost of a refresh, and latency while pruning, with millions of stored tokens.

Run from the repository's root:
``python -m tests.benchmarks.issuer_rows [--tokens N ...] [--rounds N] [--seconds S]
[--pruning S] [--directory PATH] [--database sqlite|postgresql]``

Each database holds N access tokens and N refresh tokens, ten of each in a login. The first table
compares the cost of a refresh between the sizes: the servers alternate, as in
``tests.benchmarks.issuer``, and ratios are medians of the ratios within a round. Then the clock of
the largest database's issuer is set three days ahead, so that half of the logins have expired, and
the second table shows the latency of refreshes while the issuer deletes them.

Ten million tokens of each kind need 6 GB of disk space for SQLite, and 10 GB for PostgreSQL.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import requests
import sqlalchemy as sa

from grantway_plugins.issuer._storage.database import open_database
from tests.benchmarks.issuer import (
    CLIENTS,
    DEVICE_CODE,
    TIMEOUT,
    Target,
    _basic,
    _cores,
    _device_login,
    _on_core,
    _processor_seconds,
    _run,
)
from tests.plugins.issuer.replica import Replica
from tests.postgres import PostgresServer, postgres_server

#: Tokens of each kind in a login.
PER_LOGIN = 10
DAY = 86_400.0
#: Seconds for which half of the logins are valid, and then all.
LIFETIMES = (DAY, 80 * DAY)
#: How far the clock is set ahead for pruning: rows are kept for a day after their expiry.
AHEAD = 3 * DAY

_SQLITE = """
INSERT INTO families (family_id, client_id, subject, scope, expires_at)
  WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {logins})
  SELECT lower(hex(randomblob(16))) AS id, 'filling', 'me', 'read',
    {now} + CASE WHEN n & 1 THEN {short} ELSE {long} END FROM numbers ORDER BY id;
INSERT INTO refresh_tokens (digest, family_id, used_at)
  WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {each})
  SELECT CAST(unhex(family_id) || randomblob(32) AS BLOB), family_id,
    CASE WHEN n > 1 THEN {now} END FROM families CROSS JOIN numbers;
INSERT INTO access_tokens (digest, family_id, scope, issued_at, expires_at)
  WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {each})
  SELECT CAST(unhex(family_id) || randomblob(32) AS BLOB), family_id, 'read', {now},
    expires_at + n FROM families CROSS JOIN numbers;
"""
_POSTGRESQL = """
INSERT INTO families (family_id, client_id, subject, scope, expires_at)
  SELECT md5(n || 'x'), 'filling', 'me', 'read',
    {now} + CASE WHEN n & 1 = 1 THEN {short} ELSE {long} END
  FROM generate_series(1, {logins}) AS n ORDER BY 1;
INSERT INTO refresh_tokens (digest, family_id, used_at)
  SELECT decode(family_id, 'hex') || sha256((family_id || n)::bytea), family_id,
    CASE WHEN n > 1 THEN {now} END FROM families, generate_series(1, {each}) AS n;
INSERT INTO access_tokens (digest, family_id, scope, issued_at, expires_at)
  SELECT decode(family_id, 'hex') || sha256((family_id || n)::bytea), family_id, 'read', {now},
    expires_at + n FROM families, generate_series(1, {each}) AS n;
"""


def fill(database: str, tokens: int) -> None:
    """Store tokens of each kind in a new database."""
    engine = open_database(database)
    statements = (_SQLITE if engine.dialect.name == "sqlite" else _POSTGRESQL).format(
        logins=tokens // PER_LOGIN,
        each=PER_LOGIN,
        now=time.time(),
        short=LIFETIMES[0],
        long=LIFETIMES[1],
    )
    engine.dispose()
    if engine.dialect.name == "sqlite":
        with closing(sqlite3.connect(database, isolation_level=None)) as connection:
            connection.create_function("unhex", 1, bytes.fromhex, deterministic=True)
            connection.execute("PRAGMA cache_size = -2000000")
            connection.executescript(f"BEGIN; {statements} COMMIT; ANALYZE")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return
    with closing(sa.create_engine(database).connect()) as connection:
        for statement in statements.split(";")[:-1]:
            connection.exec_driver_sql(statement)
        connection.commit()
        connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("VACUUM ANALYZE")


@contextmanager
def serving(name: str, database: str, ahead: float = 0.0) -> Iterator[Target]:
    """Run an issuer in a separate process, with a login for each client of the load."""
    with Replica(database, ahead=ahead, fork=False) as issuer, requests.Session() as http:
        http.trust_env = False
        url = issuer.url
        client = http.post(
            f"{url}/register",
            json={"grant_types": [DEVICE_CODE, "refresh_token"], "scope": "read"},
            timeout=TIMEOUT,
        ).json()
        auth = _basic(client["client_id"], client["client_secret"])
        paths = (f"{url}/device_authorization", f"{url}/token")
        chains = [_device_login(http, auth, *paths, lambda _uri: None) for _ in range(CLIENTS)]
        yield Target(name, "", paths[1], issuer.pid, auth, chains)


def measure_sizes(targets: list[Target], rounds: int, seconds: float, other: Busy) -> None:
    """Refresh at the targets alternately; the first round is a warm-up.

    Args:
        targets: Issuers, each with its own database.
        rounds: Number of rounds.
        seconds: Duration of one run.
        other: Processor seconds of the database server.
    """
    for number in range(rounds + 1):
        for target in targets:
            used = _processor_seconds(target.pid) + other()
            latencies, took = asyncio.run(_run(target, seconds))
            used = _processor_seconds(target.pid) + other() - used
            if number:
                target.rates.append(len(latencies) / took)
                target.seconds += latencies
                target.server.append(used / len(latencies))


def report_sizes(targets: list[Target]) -> None:
    """Print the costs, compared with the first target's."""
    print(
        "\n| stored tokens of each kind | CPU time per refresh | x | refreshes/s | x | median, p99,"
        " p99.9, max ms |\n|--:|--:|--:|--:|--:|--:|"
    )
    for target in targets:
        cost = [mine / base for mine, base in zip(target.server, targets[0].server, strict=True)]
        rate = [base / mine for mine, base in zip(target.rates, targets[0].rates, strict=True)]
        print(
            f"| {target.name} | {statistics.median(target.server) * 1e6:.0f} µs"
            f" | {statistics.median(cost):.2f} | {statistics.median(target.rates):.0f}"
            f" | {statistics.median(rate):.2f} | {_latencies(target.seconds)} |",
            flush=True,
        )


def measure_pruning(database: str, seconds: float) -> None:
    """Print latencies without anything to prune, and while half of the rows are pruned."""
    print(
        "\n| | refreshes/s | median, p99, p99.9, max ms | expired rows before, after |"
        "\n|---|--:|--:|--:|"
    )
    for name, ahead in (("nothing to prune", 0.0), ("pruning", AHEAD)):
        before = expired(database, ahead)
        with serving(name, database, ahead) as target:
            latencies, took = asyncio.run(_run(target, seconds))
        print(
            f"| {name} | {len(latencies) / took:.0f} | {_latencies(latencies)}"
            f" | {before:,}, {expired(database, ahead):,} |",
            flush=True,
        )


def expired(database: str, ahead: float) -> int:
    """Return the number of logins and access tokens to delete; refresh tokens are not counted."""
    now = time.time() + ahead
    engine = sa.create_engine(database if "://" in database else f"sqlite:///{database}")
    with closing(engine.connect()) as connection:
        found = [
            connection.scalar(
                sa.text(f"SELECT count(*) FROM {table} WHERE expires_at < :time"), {"time": limit}
            )
            for table, limit in (("access_tokens", now), ("families", now - DAY))
        ]
    engine.dispose()
    return sum(found)


#: Returns processor seconds.
Busy = Callable[[], float]


def _latencies(seconds: list[float]) -> str:
    parts = statistics.quantiles(seconds, n=1000)
    shown = (parts[499], parts[989], parts[998], max(seconds))
    return ", ".join(f"{each * 1000:.1f}" for each in shown)


def _busy(server: PostgresServer) -> Busy:
    """Return a function for the processor seconds of PostgreSQL's processes."""
    main = int((server.folder / "postmaster.pid").read_text().split()[0])

    def busy() -> float:
        children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        return sum(_processor_seconds(int(each)) for each in children)

    return busy


@contextmanager
def databases(
    kind: str, sizes: list[int], directory: str | None
) -> Iterator[tuple[list[str], Busy]]:
    """Create a database of each size."""
    with ExitStack() as exits:
        busy: Busy = lambda: 0.0  # noqa: E731 - SQLite runs in the issuer
        if kind == "sqlite":
            folder = exits.enter_context(tempfile.TemporaryDirectory(dir=directory))
            names = [str(Path(folder, f"{size}.sqlite3")) for size in sizes]
        else:
            server = exits.enter_context(postgres_server())
            busy = _busy(server)
            names = []
            for size in sizes:
                server.sql(f"CREATE DATABASE tokens_{size}")
                names.append(server.url.replace("/postgres?", f"/tokens_{size}?"))
        for name, size in zip(names, sizes, strict=True):
            began = time.monotonic()
            fill(name, size)
            print(f"{kind}: stored {size:,} in {time.monotonic() - began:.0f} s", file=sys.stderr)
        yield names, busy


def main() -> None:
    """Fill the databases, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, nargs="+", default=[1_000, 1_000_000, 10_000_000])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=1.0, help="of one run of one server")
    parser.add_argument("--pruning", type=float, default=60.0, help="seconds of each pruning row")
    parser.add_argument("--directory", help="folder of the SQLite files; must be on a disk")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], action="append")
    options = parser.parse_args()
    cores = _cores()
    for kind in options.database or ["sqlite", "postgresql"]:
        with databases(kind, options.tokens, options.directory) as (names, busy), ExitStack() as on:
            print(f"\n{kind}, {os.cpu_count()} cores, {CLIENTS} clients on kept connections")
            with ExitStack() as exits:
                with _on_core(cores[0] if cores else None):
                    targets = [
                        exits.enter_context(serving(f"{size:,}", name))
                        for size, name in zip(options.tokens, names, strict=True)
                    ]
                on.enter_context(_on_core(cores[1] if cores else None))
                measure_sizes(targets, options.rounds, options.seconds, busy)
                report_sizes(targets)
            measure_pruning(names[-1], options.pruning)


if __name__ == "__main__":
    main()
