"""Tests of the records in SQLite and PostgreSQL."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from grantway._exceptions import ConfigurationError, StoreError, StoreUnreadableError
from grantway_plugins.gateway._connections._records.sql import SqlRecords
from grantway_plugins.gateway._connections.records import ConnectionRecords
from tests.plugins.gateway.connections.contract import (
    ALICE,
    BOB,
    DatabaseContract,
    Run,
    ServerContract,
    connection,
    event,
    job,
)
from tests.postgres import PostgresServer, postgres_server
from tests.waiting import PATIENCE

PREFIXES = (f"t{number}_" for number in itertools.count())


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


class SqlContract(DatabaseContract):
    """Tests for both databases."""

    @pytest.fixture
    def reopen(self, url: str) -> Callable[[], SqlRecords]:
        return functools.partial(SqlRecords, url, prefix=next(PREFIXES), timeout=PATIENCE)

    def test_saves_nothing_if_an_event_cannot_be_saved(
        self, run: Run[Any], records: ConnectionRecords
    ) -> None:
        run(records.put(connection()))
        saved = run(records.connection(ALICE, "github"))
        invalid = event(name=None)
        for change in (
            records.change(replace(saved, state="broken"), events=[event(), invalid]),
            records.put(connection(BOB), jobs=[job()], events=[invalid]),
            records.remove(ALICE, "github", events=[invalid]),
            records.record([event(), invalid]),
        ):
            with pytest.raises(StoreError, match="was not saved"):
                run(change)
        assert list(run(records.page())) == [saved]
        assert list(run(records.history(ALICE))) == []
        assert list(run(records.claim_jobs(1e9, lease=1.0, limit=9))) == []

    def test_leaves_tables_of_another_version_unchanged(
        self, run: Run[Any], records: ConnectionRecords, reopen: Callable[[], SqlRecords]
    ) -> None:
        run(records.put(connection()))
        assert isinstance(records, SqlRecords)
        version = records._database.tables.version
        with records._database.engine.connect() as raw:
            raw.execute(sa.update(version).values(version=2))
        older = reopen()
        with pytest.raises(StoreUnreadableError, match=r"has version 2.*needs 1"):
            run(older.page())
        run(older.close())


class TestSqlite(SqlContract):
    """The contract for an SQLite file."""

    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path}/tokens.sqlite3"


class TestPostgres(SqlContract, ServerContract):
    """The contract for a PostgreSQL server."""

    @pytest.fixture
    def url(self, server: PostgresServer) -> str:
        return server.url


def test_rejects_invalid_options() -> None:
    with pytest.raises(ConfigurationError, match="prefix: must be"):
        SqlRecords("sqlite:////tmp/x.sqlite3", prefix="No")
    with pytest.raises(ConfigurationError, match="without TLS"):
        SqlRecords("postgresql+psycopg://user:hidden@db.example.com/tokens")
    records = SqlRecords("postgresql+psycopg://user:hidden@localhost/tokens")
    assert repr(records) == (
        "SqlRecords(postgresql://localhost:5432/tokens, prefix='grantway_store_')"
    )
