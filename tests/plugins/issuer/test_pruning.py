"""Pruning a backlog and checkpoints of a long log do not delay requests."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from grantway_plugins.issuer._decisions.randomness import (
    family_digest,
    new_family_secret,
    new_id,
)
from grantway_plugins.issuer._storage.checkpoint import checkpoint
from grantway_plugins.issuer._storage.prepared import Prepared
from grantway_plugins.issuer._storage.pruning import (
    _ENDED_FAMILIES,
    _EXPIRED,
    _REFRESH_TOKENS,
    BUSY_PAUSE,
    FEWEST,
    IDLE_PAUSE,
    MOST,
    PRUNE_INTERVAL,
    STEP_SECONDS,
    Pruning,
)
from grantway_plugins.issuer._storage.records import AccessTokenRecord, TokenFamily
from grantway_plugins.issuer._storage.store import IssuerStore
from grantway_plugins.issuer._storage.tables import access_tokens, families, refresh_tokens
from grantway_plugins.issuer._storage.transaction import Transaction
from tests.plugins.issuer.conftest import Clock
from tests.postgres import PostgresServer
from tests.waiting import until


def test_steps_grow_to_the_time_limit_and_shrink_above_it() -> None:
    pruning = Pruning()
    for _ in range(20):  # a row takes a five-hundredth of the time limit
        pruning.pause(pruning.limit * STEP_SECONDS / 500, 0.0, busy=True)
    assert 250 <= pruning.limit <= 500
    pruning.pause(10 * STEP_SECONDS, 0.0, busy=True)
    assert pruning.limit == FEWEST
    for _ in range(20):
        pruning.pause(0.0, 10.0, busy=True)  # a slow commit does not make the steps smaller
    assert pruning.limit == MOST


def test_pauses_in_proportion_to_the_duration_of_a_step() -> None:
    pruning = Pruning()
    assert pruning.pause(0.2, 0.1, busy=True) == pytest.approx(BUSY_PAUSE * 0.3)
    assert pruning.pause(0.2, 0.1, busy=False) == pytest.approx(IDLE_PAUSE * 0.3)
    pruning.left.clear()
    assert pruning.pause(0.2, 0.1, busy=True) == PRUNE_INTERVAL
    assert pruning.left


def fill(many: int, now: float) -> Any:
    """Return work that stores expired logins with two tokens each."""

    def work(transaction: Transaction) -> None:
        for _ in range(many):
            family = TokenFamily(new_id(), "client", "me", ("a",), now - 100_000)
            transaction.add_family(family)
            token = new_family_secret("gwr", family.family_id)
            transaction.add_refresh_token(family_digest(token), family)
            token = new_family_secret("gwa", family.family_id)
            transaction.add_access_token(
                family_digest(token), AccessTokenRecord(("a",), now - 200_000, now - 1, family)
            )

    return work


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield str(tmp_path / "issuer.sqlite3")
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    server.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    yield server.url


#: Names of the parameters of all queries.
PARAMETERS = ("after", "before", "limit", "low", "high")


@pytest.fixture(scope="module")
def filled(postgres: PostgresServer) -> PostgresServer:
    """A database whose tables are too large to be read as a whole."""
    postgres.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    IssuerStore(postgres.url).close()
    for table in {
        each.table for each in (*_EXPIRED, families.c.family_id, refresh_tokens.c.digest)
    }:
        assert isinstance(table, sa.Table)
        names, values = zip(*((f'"{each.name}"', _value(each)) for each in table.c), strict=True)
        postgres.sql(
            f"INSERT INTO {table} ({', '.join(names)}) SELECT {', '.join(values)} "
            f"FROM generate_series(1, 20000) AS n; ANALYZE {table}"
        )
    return postgres


def _value(column: sa.Column[Any]) -> str:
    """Return an SQL expression for the value of a column in row n."""
    by_type = {sa.LargeBinary: "sha256(n::text::bytea)", sa.Text: "n::text", sa.String: "n::text"}
    return by_type.get(type(column.type), "n")


def rows(database: str) -> int:
    """Return the number of logins and tokens."""
    engine = sa.create_engine(database if "://" in database else f"sqlite:///{database}")
    with closing(engine.connect()) as connection:
        counts = [
            connection.scalar(sa.select(sa.func.count()).select_from(table))
            for table in (families, refresh_tokens, access_tokens)
        ]
    engine.dispose()
    return sum(count or 0 for count in counts)


def test_two_issuers_prune_a_backlog_and_handle_requests(
    database: str, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(IssuerStore(database, clock=clock)) as filling:
        filling.run(fill(300, clock()))
    assert rows(database) == 900
    with (
        closing(IssuerStore(database, clock=clock)) as first,
        closing(IssuerStore(database, clock=clock)) as second,
    ):

        def left() -> int:
            for store in (first, second):
                store.run(lambda transaction: transaction.probe())
            return rows(database)

        until(left, lambda count: count == 0)
    assert caplog.messages == []


@pytest.mark.parametrize("query", [*_EXPIRED.values(), *_ENDED_FAMILIES.values(), _REFRESH_TOKENS])
def test_postgresql_reads_no_whole_table(filled: PostgresServer, query: Prepared) -> None:
    """The driver prepares the statements, so PostgreSQL may plan them without their values."""
    sql, _names, _fixed = query.on(postgresql.psycopg.dialect())
    numbered = {name: f"${number}" for number, name in enumerate(PARAMETERS, 1)}
    plan = filled.sql(f"EXPLAIN (GENERIC_PLAN) {sql % numbered}")
    assert "Index" in plan, plan
    assert "Seq Scan" not in plan, plan


class Interrupted(sqlite3.Connection):
    """A connection during whose passive checkpoints another one commits."""

    writer: sqlite3.Connection
    reader: sqlite3.Connection

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        if "PASSIVE" not in sql:
            return super().execute(sql, *parameters)
        # The checkpoint copies only what the reader may see, and not the later commit.
        self.reader.execute("BEGIN")
        self.reader.execute("SELECT count(*) FROM numbers").fetchone()
        self.writer.execute("INSERT INTO numbers VALUES (1)")
        try:
            return super().execute(sql, *parameters)
        finally:
            self.reader.execute("COMMIT")


def test_a_long_log_starts_again_although_commits_continue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("grantway_plugins.issuer._storage.checkpoint.LONG_PAGES", 50)
    path = tmp_path / "x.sqlite3"
    with (
        closing(sqlite3.connect(path, isolation_level=None)) as writer,
        closing(sqlite3.connect(path, isolation_level=None)) as reader,
        closing(sqlite3.connect(path, isolation_level=None, factory=Interrupted)) as connection,
    ):
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("PRAGMA wal_autocheckpoint=0")
        writer.execute("CREATE TABLE numbers (number INTEGER)")
        connection.writer, connection.reader = writer, reader
        for _ in range(200):
            checkpoint(connection)
        assert Path(f"{path}-wal").stat().st_size < 100 * 4096


def test_a_long_read_does_not_delay_commits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint that waited for the reader would hold the lock that commits need."""
    monkeypatch.setattr("grantway_plugins.issuer._storage.checkpoint.LONG_PAGES", 5)
    monkeypatch.setattr("grantway_plugins.issuer._storage.checkpoint.EVERY", 0.01)
    monkeypatch.setattr("grantway_plugins.issuer._storage.database.BUSY_TIMEOUT", 1000)
    path = tmp_path / "x.sqlite3"
    with (
        closing(IssuerStore(path)) as store,
        closing(sqlite3.connect(path, isolation_level=None)) as reader,
    ):
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM families").fetchone()
        began = time.monotonic()
        while time.monotonic() - began < 0.5:
            store.run(fill(1, time.time() + 200_000))
        for _ in range(20):
            store.run(lambda transaction: transaction.probe())
            time.sleep(0.02)
