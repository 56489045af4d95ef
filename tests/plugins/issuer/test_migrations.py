"""Databases of earlier versions are upgraded without loss."""

from __future__ import annotations

import json
import logging
import os
import signal
import sqlite3
import stat
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from grantway_plugins.issuer import IssuerServer, IssuerSettings
from grantway_plugins.issuer._storage.errors import (
    DatabaseBusyError,
    DatabaseError,
    DatabaseForeignError,
)
from grantway_plugins.issuer._storage.migrations import MIGRATIONS
from grantway_plugins.issuer._storage.schema import OLDEST_VERSION
from grantway_plugins.issuer._storage.store import IssuerStore
from grantway_plugins.issuer._storage.tables import SCHEMA_VERSION, metadata
from tests import forked
from tests.interop.program import Program
from tests.plugins.issuer.conftest import Caller, Clock
from tests.postgres import PostgresServer
from tests.waiting import PATIENCE

_OLD = Path(__file__).with_name("old_databases")
_UPGRADED = f"Upgraded the database from schema version {OLDEST_VERSION} to {SCHEMA_VERSION}"
_POSTGRESQL_COLUMNS = (
    "SELECT table_name || column_name FROM information_schema.columns "
    "WHERE table_schema = 'public' ORDER BY 1"
)
#: Stops after the last migration, before the commit.
_INTERRUPTED = """
import sys, time
from grantway_plugins.issuer._storage import migrations
from grantway_plugins.issuer._storage.database import open_database

def stop(operations, last=migrations.MIGRATIONS[{version}]):
    last(operations)
    print("migrated", flush=True)
    time.sleep(600)

migrations.MIGRATIONS = {{**migrations.MIGRATIONS, {version}: stop}}
open_database(sys.argv[1])
"""


@dataclass(frozen=True)
class OldDatabase:
    """A database that an earlier version wrote.

    Attributes:
        name: Path or URL.
        values: The secrets of its rows; see ``old_databases/make.py``.
        sql: Runs statements on the database and returns the rows' first values.
        definitions: Query for the definitions of all tables.
    """

    name: str
    values: dict[str, Any]
    sql: Callable[[str], list[str]]
    definitions: str

    @property
    def version(self) -> str:
        return self.sql("SELECT version FROM grantway_issuer_schema")[0]


@pytest.fixture
def sqlite(tmp_path: Path) -> OldDatabase:
    path = tmp_path / "issuer.sqlite3"

    def sql(text: str) -> list[str]:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            return [str(row[0]) for row in connection.execute(text)]

    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(_read("sqlite.sql"))
    return OldDatabase(
        str(path),
        json.loads(_read("json"))["sqlite"],
        sql,
        "SELECT sql FROM sqlite_master ORDER BY name",
    )


@pytest.fixture
def postgresql(postgres: PostgresServer) -> OldDatabase:
    postgres.sql(f"DROP SCHEMA public CASCADE; CREATE SCHEMA public; {_read('postgresql.sql')}")
    return OldDatabase(
        postgres.url,
        json.loads(_read("json"))["postgresql"],
        lambda text: postgres.sql(text).splitlines(),
        _POSTGRESQL_COLUMNS,
    )


@pytest.fixture(params=["sqlite", "postgresql"])
def old(request: pytest.FixtureRequest) -> OldDatabase:
    """A database of the oldest version."""
    found: OldDatabase = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def upgrades(caplog: pytest.LogCaptureFixture) -> Callable[[], int]:
    """Return the number of upgrades that were logged."""
    caplog.set_level(logging.WARNING, "grantway.issuer")
    return lambda: caplog.messages.count(_UPGRADED)


def _read(end: str) -> str:
    return (_OLD / f"version-{OLDEST_VERSION}.{end}").read_text("utf-8")


def _dump(path: str | Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def test_there_is_a_migration_for_every_version() -> None:
    assert list(MIGRATIONS) == list(range(OLDEST_VERSION + 1, SCHEMA_VERSION + 1))


def test_an_upgrade_keeps_clients_tokens_codes_and_records(old: OldDatabase, clock: Clock) -> None:
    values = old.values
    clock.now = values["now"] + 60
    with (
        IssuerServer(IssuerSettings(approve="auto"), database=old.name, clock=clock) as server,
        Caller(server.url) as rfc,
        Caller(server.url) as aws,
        Caller(server.url) as service,
    ):
        assert server.store.form_key.hex() == values["form_key"]
        assert server.store.run(lambda each: each.records("acme").get("coupon")) == {"left": 3}

        rfc.id, rfc.secret, rfc.method = values["client"].values()
        assert rfc.active(values["access_token"])
        assert rfc.redeem(values["code"]).status_code == 200
        assert rfc.poll(values["device_code"]).status_code == 200
        assert "revoked" in rfc.refresh(values["revoked"]).text
        refreshed = rfc.refresh(values["refresh_token"])
        assert refreshed.status_code == 200
        # The reuse window of the replaced token has passed, so this revokes the login.
        assert rfc.refresh(values["replaced"]).json()["error"] == "invalid_grant"
        assert not rfc.active(refreshed.json()["access_token"])

        aws.id, aws.secret = values["aws"].values()
        started = aws.as_aws("/device_authorization", startUrl="https://example.com/start")
        assert started.status_code == 200, started.text

        service.id, service.method = values["service"]["id"], "client_secret_basic"
        for service.secret in (values["service"]["old_secret"], values["service"]["secret"]):
            response = service.as_rfc("/token", grant_type="client_credentials")
            assert response.status_code == 200, response.text


def test_an_upgraded_database_has_the_schema_of_a_new_one(old: OldDatabase) -> None:
    """A change of ``tables.py`` needs a migration."""
    IssuerStore(old.name).close()
    assert old.version == str(SCHEMA_VERSION)
    engine = sa.create_engine(old.name if "://" in old.name else f"sqlite:///{old.name}")
    with closing(engine.connect()) as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_an_upgraded_file_stores_rows_in_the_order_of_a_new_one(
    sqlite: OldDatabase, tmp_path: Path
) -> None:
    """Alembic does not compare ``WITHOUT ROWID``."""
    new = tmp_path / "new.sqlite3"
    for name in (sqlite.name, new):
        IssuerStore(name).close()
    tables = []
    for name in (sqlite.name, new):
        with closing(sqlite3.connect(name)) as connection:
            rows = connection.execute("SELECT name, wr FROM pragma_table_list WHERE type = 'table'")
            tables.append(set(rows))
    assert tables[0] == tables[1]


def test_issuers_that_start_together_upgrade_once(
    old: OldDatabase, upgrades: Callable[[], int]
) -> None:
    many = 4
    starting = threading.Barrier(many)

    def start() -> bytes:
        starting.wait(PATIENCE)
        with closing(IssuerStore(old.name)) as store:
            return store.form_key

    with ThreadPoolExecutor(many) as threads:
        starts = [threads.submit(start) for _ in range(many)]
        keys = {each.result(PATIENCE).hex() for each in starts}
    assert keys == {old.values["form_key"]}
    assert upgrades() == 1


def test_a_restart_completes_an_interrupted_upgrade(
    old: OldDatabase, upgrades: Callable[[], int]
) -> None:
    code = _INTERRUPTED.format(version=SCHEMA_VERSION)
    with Program([sys.executable, "-c", code, old.name], start=forked.Popen) as program:
        assert program.read_line(PATIENCE) == "migrated\n"
        os.kill(program.pid, signal.SIGKILL)
    assert old.version == str(OLDEST_VERSION)
    IssuerStore(old.name).close()
    assert old.version == str(SCHEMA_VERSION)
    assert upgrades() == 1
    IssuerStore(old.name).close()
    assert upgrades() == 1


def test_a_failed_upgrade_changes_nothing(
    old: OldDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(operations: Any) -> None:
        MIGRATIONS[SCHEMA_VERSION](operations)
        operations.execute("SELECT missing FROM nowhere")

    before = old.sql("SELECT client_id FROM clients ORDER BY client_id")
    monkeypatch.setattr(
        "grantway_plugins.issuer._storage.migrations.MIGRATIONS",
        {**MIGRATIONS, SCHEMA_VERSION: fail},
    )
    with pytest.raises(DatabaseError):
        IssuerStore(old.name)
    monkeypatch.undo()
    assert old.version == str(OLDEST_VERSION)
    assert old.sql("SELECT client_id FROM clients ORDER BY client_id") == before
    IssuerStore(old.name).close()


@pytest.mark.parametrize("version", [OLDEST_VERSION - 1, SCHEMA_VERSION + 1])
def test_another_version_is_refused_untouched(old: OldDatabase, version: int) -> None:
    old.sql(f"UPDATE grantway_issuer_schema SET version = {version}")
    before = old.sql(old.definitions)
    with pytest.raises(DatabaseForeignError, match=f"schema version {version} and this issuer"):
        IssuerStore(old.name)
    assert old.version == str(version)
    assert old.sql(old.definitions) == before


def test_tables_of_another_program_are_refused_untouched(postgres: PostgresServer) -> None:
    postgres.sql(
        "DROP SCHEMA public CASCADE; CREATE SCHEMA public; CREATE TABLE clients (name TEXT)"
    )
    with pytest.raises(DatabaseForeignError, match=r"tables of another program \(clients\)"):
        IssuerStore(postgres.url)
    assert postgres.sql(_POSTGRESQL_COLUMNS) == "clientsname\n"


def test_the_old_file_is_kept_with_private_access(sqlite: OldDatabase) -> None:
    before = _dump(sqlite.name)
    IssuerStore(sqlite.name).close()
    copy = Path(f"{sqlite.name}.version-{OLDEST_VERSION}")
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert _dump(copy) == before
    made = copy.stat().st_mtime_ns
    IssuerStore(sqlite.name).close()
    assert copy.stat().st_mtime_ns == made
    assert not copy.with_name(f"{copy.name}.part").exists()


def test_a_file_that_cannot_be_copied_is_not_upgraded(sqlite: OldDatabase) -> None:
    copy = Path(f"{sqlite.name}.version-{OLDEST_VERSION}")
    copy.mkdir()
    with pytest.raises(DatabaseError, match="cannot be made before the upgrade"):
        IssuerStore(sqlite.name)
    assert sqlite.version == str(OLDEST_VERSION)
    copy.rmdir()
    IssuerStore(sqlite.name).close()
    assert sqlite.version == str(SCHEMA_VERSION)


def test_waits_for_another_issuer_that_upgrades_the_file(
    sqlite: OldDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("grantway_plugins.issuer._storage.database.BUSY_TIMEOUT", 1)
    with closing(
        sqlite3.connect(sqlite.name, isolation_level=None, check_same_thread=False)
    ) as other:
        other.execute("PRAGMA journal_mode=WAL")
        other.execute("BEGIN IMMEDIATE")
        threading.Timer(0.3, other.execute, ["COMMIT"]).start()
        IssuerStore(sqlite.name).close()
    assert sqlite.version == str(SCHEMA_VERSION)


@pytest.fixture
def short_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grantway_plugins.issuer._storage.schema.LOCK_TIMEOUT", 50)


@pytest.mark.usefixtures("short_attempts")
def test_reports_a_table_that_stays_locked(postgresql: OldDatabase) -> None:
    engine = sa.create_engine(postgresql.name)
    with closing(engine.connect()) as reading:
        for table in metadata.tables:
            if postgresql.sql(f"SELECT to_regclass('{table}')")[0]:
                reading.exec_driver_sql(f"SELECT * FROM {table}").all()
        with pytest.raises(DatabaseBusyError, match="locked by another process"):
            IssuerStore(postgresql.name)
    engine.dispose()
    assert postgresql.version == str(OLDEST_VERSION)
    IssuerStore(postgresql.name).close()


def test_reports_a_user_who_does_not_own_the_tables(postgresql: OldDatabase) -> None:
    postgresql.sql(
        "CREATE ROLE guest LOGIN; GRANT USAGE ON SCHEMA public TO guest;"
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO guest"
    )
    with pytest.raises(DatabaseError, match="Only their owner can upgrade them"):
        IssuerStore(postgresql.name.replace("postgres:@", "guest:@"))
    assert postgresql.version == str(OLDEST_VERSION)
