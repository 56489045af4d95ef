"""Tests of the store ``sql`` with an SQLite file and a PostgreSQL server."""

from __future__ import annotations

import asyncio
import functools
import itertools
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from grantway import Token
from grantway._exceptions import (
    ConfigurationError,
    StoreError,
    StoreLockError,
    StoreSaveError,
    StoreUnreadableError,
)
from grantway.testing import store_on_loop
from grantway.testing._kits.on_loop import StoreOnLoop
from grantway.testing._kits.processes import Opener, peer
from grantway_plugins.stores.sql._lease import digest
from grantway_plugins.stores.sql._store import SqlStore
from tests.plugins.stores import holders
from tests.plugins.stores.contract import (
    LOCK_WAIT,
    MARK,
    WHOLE,
    DurableStoreContract,
    RecordContract,
    StoreContract,
    shown,
    use_once,
)
from tests.plugins.stores.shared import LEASE, LEASE_FOR_TURNS, LeaseContract, SharedStoreContract
from tests.postgres import PostgresServer, postgres_server
from tests.waiting import PATIENCE

PREFIXES = (f"t{number}_" for number in itertools.count())


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


class SqlFixtures:
    """Fixtures of the contract classes. Subclasses define the fixture ``url``."""

    @pytest.fixture
    def reopen(self, url: str) -> Opener:
        return functools.partial(
            SqlStore, url=url, prefix=next(PREFIXES), lease=LEASE, timeout=PATIENCE
        )

    @pytest.fixture
    def store(self, reopen: Opener) -> Iterator[SqlStore]:
        self.opened = another(reopen)
        with closing(self.opened) as store:
            yield store

    @pytest.fixture
    def corrupt(self, store: SqlStore) -> Callable[[str, bytes], None]:
        def corrupt(key: str, data: bytes) -> None:
            change(store, key, record=data)

        return corrupt

    def seize(self, key: str) -> None:
        change(self.opened, key, owner="another", held_until=2**53)


class SqlOnLoop(SqlFixtures, StoreContract, RecordContract, LeaseContract):
    """Tests of the asynchronous methods for both databases."""

    @pytest.fixture
    def store(self, reopen: Opener) -> Iterator[StoreOnLoop]:
        self.opened = another(reopen)
        with closing(self.opened) as plain, store_on_loop(plain) as store:
            yield store


class SqlContract(SqlFixtures, StoreContract, DurableStoreContract, SharedStoreContract):
    """Tests for both databases."""

    @pytest.fixture
    def reopen_for_turns(self, reopen: functools.partial[SqlStore]) -> Opener:
        return functools.partial(reopen, lease=LEASE_FOR_TURNS)

    def test_several_processes_create_the_tables_at_once(self, reopen: Opener) -> None:
        with ExitStack() as stack:
            crowd = [stack.enter_context(peer(holders.first_use, reopen)) for _ in range(4)]
            for each in crowd:
                assert each.receive() == "up"
            for each in crowd:
                each.send("now")
            assert [each.receive() for each in crowd] == [None] * 4

    def test_leaves_tables_of_a_newer_version_unchanged(
        self, store: SqlStore, reopen: Opener
    ) -> None:
        store.save("key", WHOLE)
        with store._database.engine.connect() as connection:
            connection.execute(sa.update(store._database.tables.version).values(version=2))
        with closing(another(reopen)) as older:
            with pytest.raises(StoreUnreadableError, match=r"has version 2.*needs 1"):
                older.load("key")
            with pytest.raises(StoreUnreadableError, match="has version 2"):
                older.save("key", Token("at"))
        assert store.load("key") == WHOLE

    @pytest.mark.parametrize("name", ["tokens", "version"])
    def test_leaves_a_foreign_table_unchanged(self, url: str, name: str) -> None:
        prefix = next(PREFIXES)
        engine = sa.create_engine(url)
        with engine.begin() as connection:
            connection.exec_driver_sql(f"CREATE TABLE {prefix}{name} (mine INTEGER)")
        with (
            closing(SqlStore(url, prefix=prefix)) as store,
            pytest.raises(StoreUnreadableError, match=f"{prefix}{name} is .*not grantway's"),
        ):
            store.load("key")
        with engine.connect() as connection:
            assert connection.exec_driver_sql(f"SELECT mine FROM {prefix}{name}").all() == []
            inspector = sa.inspect(connection)
            assert [each for each in inspector.get_table_names() if each.startswith(prefix)] == [
                f"{prefix}{name}"
            ]
        engine.dispose()

    def test_removes_expired_rows(self, store: SqlStore, reopen: Opener) -> None:
        store.save("kept", Token("at", refresh_token="rt"))
        store.save("unstated", Token("at"))
        store.save("ended", Token("at", expires_at=time.time() - 1))
        store.delete("deleted")
        assert len(rows(store)) == 4
        assert store.load("ended") is not None  # for an hour
        for key in ("ended", "deleted"):
            change(store, key, forget_at=1)
        assert store.load("ended") is None
        with closing(another(reopen)) as other:
            other.save("kept", Token("at", refresh_token="rt-2"))
        assert {row.key for row in rows(store)} == {digest("kept"), digest("unstated")}

    def test_sets_the_expiry_of_stored_tokens(self, url: str) -> None:
        with closing(SqlStore(url, prefix=next(PREFIXES), keep_for=86_400)) as store:
            store.save("day", Token("at", refresh_token="rt"))
            store.save("hours", Token("at", expires_at=time.time() + 7_200))
            store.save("hour", Token("at", expires_at=time.time() + 60))
            left = {row.key: row.forget_at / 1000 - time.time() for row in rows(store)}
        assert left[digest("day")] == pytest.approx(86_400, abs=60)
        assert left[digest("hours")] == pytest.approx(7_260, abs=60)
        assert left[digest("hour")] == pytest.approx(3_630, abs=60)

    def test_many_threads_share_a_few_connections(self, url: str) -> None:
        with closing(SqlStore(url, prefix=next(PREFIXES), connections=2)) as store:
            start = threading.Barrier(8)

            def work(key: str) -> Token | None:
                start.wait(LOCK_WAIT)
                with store.lock(key, LOCK_WAIT) as fence:
                    store.save(key, Token(key), fence=fence)
                return store.load(key)

            with ThreadPoolExecutor(8) as pool:
                assert list(pool.map(work, "abcdefgh")) == [Token(key) for key in "abcdefgh"]
            assert store._database.engine.pool.checkedin() <= 2  # type: ignore[attr-defined]


class TestSqlite(SqlContract):
    """The contract for an SQLite file."""

    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path}/made/tokens.sqlite3"

    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path) -> None:
        (tmp_path / "made").mkdir(mode=0o700)


class TestPostgres(SqlContract):
    """The contract for a PostgreSQL server."""

    @pytest.fixture
    def url(self, postgres: PostgresServer) -> str:
        return postgres.url


class TestSqliteOnLoop(SqlOnLoop):
    """The contract for an SQLite file, which runs in threads."""

    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path}/tokens.sqlite3"


class TestPostgresOnLoop(SqlOnLoop):
    """The contract for a PostgreSQL server."""

    @pytest.fixture
    def url(self, postgres: PostgresServer) -> str:
        return postgres.url

    def test_runs_without_a_thread(self, reopen: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(threading.Thread, "start", None)
        asyncio.run(use_once(another(reopen)))


def another(reopen: Opener) -> SqlStore:
    store = reopen()
    assert isinstance(store, SqlStore)
    return store


def change(store: SqlStore, key: str, **values: Any) -> None:
    table = store._database.tables.content[0]
    with store._database.engine.connect() as connection:
        statement = sa.update(table).where(table.c.key == digest(key)).values(**values)
        assert connection.execute(statement).rowcount == 1


def rows(store: SqlStore) -> list[Any]:
    with store._database.engine.connect() as connection:
        return list(connection.execute(sa.select(store._database.tables.content[0])).all())


# --- Options -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"url": "mysql://u:" + MARK + "@h/d"}, "url"),
        ({"url": "sqlite://"}, "url"),
        ({"url": "sqlite:///:memory:"}, "url"),
        ({"url": MARK}, "url"),
        ({"url": "postgresql+nothing://u:" + MARK + "@h/d"}, "url"),
        ({"url": "postgresql+nothing://h/d?password=" + MARK}, "url"),
        ({"url": "mysql://h/d?password=" + MARK}, "url"),
        # An @ in a password moves the rest of it into the host or the database.
        ({"url": "postgresql+psycopg://u:p@" + MARK + "@localhost/d"}, "url"),
        ({"url": "postgresql+psycopg://u:p@localhost/" + MARK + "@localhost/d"}, "url"),
        ({"url": "sqlite:///x", "prefix": "drop table"}, "prefix"),
        ({"url": "sqlite:///x", "prefix": ""}, "prefix"),
        ({"url": "sqlite:///x", "lease": 0}, "lease"),
        ({"url": "sqlite:///x", "lease": True}, "lease"),
        ({"url": "sqlite:///x", "lease": 1e6}, "lease"),
        ({"url": "sqlite:///x", "keep_for": 60}, "keep_for"),
        ({"url": "sqlite:///x", "keep_for": "long"}, "keep_for"),
    ],
)
def test_rejects_an_invalid_option(options: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigurationError, match=field) as rejected:
        SqlStore(**options)
    assert list(rejected.value.errors) == [field]
    assert MARK not in shown(rejected.value)


REMOTE = "postgresql+psycopg://u:" + MARK + "@db.example"


@pytest.mark.parametrize(
    "url",
    [
        f"{REMOTE}/d",
        f"{REMOTE}:5432/d?sslmode=prefer",
        f"{REMOTE}/d?sslmode=disable",
        "postgresql+psycopg://u:" + MARK + "@/d?host=db.example:5432",
        "postgresql+psycopg://u:" + MARK + "@/d?host=localhost,db.example",
        "postgresql+psycopg://u:" + MARK + "@/d?host=localhost&host=db.example",
        "postgresql+psycopg://u:" + MARK + "@/d?hostaddr=10.0.0.5",
    ],
)
def test_requires_tls_for_another_host_unless_allowed(url: str) -> None:
    with pytest.raises(
        ConfigurationError, match=r"without TLS; add \?sslmode=verify-full"
    ) as rejected:
        SqlStore(url)
    assert list(rejected.value.errors) == ["url"]
    assert MARK not in shown(rejected.value)
    SqlStore(url, allow_insecure=True).close()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://u@127.0.0.1:5432/d",
        "postgresql+psycopg://u@localhost/d",
        "postgresql+psycopg://u@/d",
        "postgresql+psycopg://u@/d?host=/var/run/postgresql",
        "postgresql+psycopg://u@%2Fvar%2Frun/d",
        f"{REMOTE}/d?sslmode=require",
        f"{REMOTE}/d?sslmode=verify-full",
    ],
)
def test_accepts_this_machine_and_tls(url: str) -> None:
    SqlStore(url).close()


def test_respects_libpqs_environment_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "db.example")
    with pytest.raises(ConfigurationError, match=r"to db\.example without TLS"):
        SqlStore("postgresql+psycopg://u@/d")
    monkeypatch.setenv("PGSSLMODE", "require")
    SqlStore("postgresql+psycopg://u@/d").close()


# --- SQLite ------------------------------------------------------------------------------------


def test_the_sqlite_files_are_private(tmp_path: Path) -> None:
    with closing(SqlStore(f"sqlite:///{tmp_path}/made/here.db")) as store:
        store.save("key", WHOLE)
        modes = {
            each.name: stat.S_IMODE(each.stat().st_mode) for each in (tmp_path / "made").iterdir()
        }
    assert modes["here.db"] == 0o600
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE((tmp_path / "made").stat().st_mode) == 0o700


def test_leaves_a_file_that_is_not_a_database_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("Not a database. " * 100)
    with closing(SqlStore(f"sqlite:///{path}")) as store:
        with pytest.raises(StoreUnreadableError, match=r"notes\.txt.*not an SQLite database"):
            store.load("key")
        with pytest.raises(StoreSaveError, match="not an SQLite database") as failed:
            store.save("key", WHOLE)
    assert MARK not in shown(failed.value)
    assert path.read_text() == "Not a database. " * 100


def test_reports_a_folder_that_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        closing(SqlStore(f"sqlite:///{tmp_path}/file/tokens.db")) as store,
        pytest.raises(StoreUnreadableError, match="cannot be created"),
    ):
        store.load("key")


def test_reports_a_file_locked_by_another_process(tmp_path: Path) -> None:
    with closing(SqlStore(f"sqlite:///{tmp_path}/x.db", timeout=0.1)) as store:
        store.save("key", WHOLE)
        with closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None)) as another:
            another.execute("BEGIN IMMEDIATE")
            assert store.load("key") == WHOLE
            with pytest.raises(StoreSaveError, match=r"x\.db.*locked") as failed:
                store.save("key", Token("at-" + MARK))
            with pytest.raises(StoreUnreadableError, match="cannot be locked"):
                store.lock("key", 0).__enter__()
            with pytest.raises(StoreError, match="not deleted"):
                store.delete("key")
            another.execute("ROLLBACK")
        assert MARK not in shown(failed.value)
        assert store.load("key") == WHOLE


def test_a_full_sqlite_file_keeps_the_previous_token(tmp_path: Path) -> None:
    with closing(SqlStore(f"sqlite:///{tmp_path}/x.db", connections=1)) as store:
        store.save("key", WHOLE)
        with store._database.engine.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count={pages}").all()
        with pytest.raises(StoreSaveError, match="disk is full") as failed:
            store.save("key", Token("x" * 100_000, refresh_token=MARK))
        assert MARK not in shown(failed.value)
        assert store.load("key") == WHOLE


# --- PostgreSQL --------------------------------------------------------------------------------


def test_errors_contain_no_password(postgres: PostgresServer) -> None:
    postgres.ask_for_password("locked_out", "right")
    url = postgres.url_of("locked_out", MARK)
    with closing(SqlStore(url)) as store:
        assert MARK not in repr(store)
        for work in (
            lambda: store.load("key"),
            lambda: store.save("key", WHOLE),
            lambda: store.lock("key", 0).__enter__(),
        ):
            with pytest.raises(StoreError, match="user name or password") as rejected:
                work()
            assert str(postgres.folder) in str(rejected.value)
            assert MARK not in shown(rejected.value)


def test_a_user_without_create_permission_uses_existing_tables(
    postgres: PostgresServer,
) -> None:
    postgres.sql("CREATE ROLE modest LOGIN")
    url, prefix = postgres.url_of("modest"), next(PREFIXES)
    with closing(SqlStore(url, prefix=prefix)) as store:
        with pytest.raises(StoreUnreadableError, match="lacks permissions; grant it"):
            store.load("key")
        with closing(SqlStore(postgres.url, prefix=prefix)) as owner:
            owner.save("key", WHOLE)
        postgres.sql(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {prefix}tokens TO modest")
        postgres.sql(f"GRANT SELECT ON {prefix}version TO modest")
        with store.lock("key", 0) as fence:
            store.save("key", Token("at"), fence=fence)
        assert store.load("key") == Token("at")


def test_reports_a_missing_database(postgres: PostgresServer) -> None:
    with (
        closing(SqlStore(postgres.url.replace("/postgres?", "/nowhere?"))) as store,
        pytest.raises(StoreUnreadableError, match=r"nowhere.*database does not exist"),
    ):
        store.load("key")


def test_reports_a_read_only_server(postgres: PostgresServer) -> None:
    prefix = next(PREFIXES)
    with closing(SqlStore(postgres.url, prefix=prefix)) as owner:
        owner.save("key", WHOLE)
    postgres.sql("CREATE ROLE reader LOGIN SUPERUSER")
    postgres.sql("ALTER ROLE reader SET default_transaction_read_only = on")
    with closing(SqlStore(postgres.url_of("reader"), prefix=prefix)) as store:
        assert store.load("key") == WHOLE
        with pytest.raises(StoreSaveError, match="is read-only"):
            store.save("key", Token("at"))


def test_reports_a_statement_timeout(postgres: PostgresServer) -> None:
    prefix = next(PREFIXES)
    with closing(SqlStore(postgres.url, prefix=prefix, timeout=1.0)) as store:
        store.save("key", WHOLE)
        engine = sa.create_engine(postgres.url)
        with engine.begin() as connection:
            connection.exec_driver_sql(f"LOCK TABLE {prefix}tokens")
            with pytest.raises(StoreSaveError, match="did not respond in time"):
                store.save("key", Token("at"))
        engine.dispose()
        assert store.load("key") == WHOLE


def test_accepts_a_timeout_longer_than_postgresqls_limits(postgres: PostgresServer) -> None:
    with closing(SqlStore(postgres.url, prefix=next(PREFIXES), timeout=1e9)) as store:
        store.save("key", WHOLE)
        assert store.load("key") == WHOLE


def test_commits_wait_for_the_disk_despite_server_settings(
    postgres: PostgresServer,
) -> None:
    postgres.sql("CREATE ROLE hasty LOGIN SUPERUSER")
    for given, used in (("off", "on"), ("remote_apply", "remote_apply")):
        postgres.sql(f"ALTER ROLE hasty SET synchronous_commit = {given}")
        with closing(SqlStore(postgres.url_of("hasty"))) as store:
            with store._database.engine.connect() as connection:
                shown = connection.exec_driver_sql("SHOW synchronous_commit").scalar_one()
            assert shown == used


def test_recovers_after_a_server_restart(caplog: pytest.LogCaptureFixture) -> None:
    with (
        postgres_server() as server,
        closing(SqlStore(server.url, lease=LEASE)) as store,
    ):
        store.save("key", WHOLE)
        server.restart()
        # The store notices that its connections were closed and opens new ones.
        assert store.load("key") == WHOLE
        with store.lock("key", 0) as fence:
            server.stop()
            with pytest.raises(StoreSaveError, match=r"cannot be reached|stopping") as failed:
                store.save("key", Token("at-" + MARK), fence=fence)
            assert MARK not in shown(failed.value)
        assert "cannot release the lock" in caplog.text
        with pytest.raises(StoreUnreadableError, match="cannot be read"):
            store.load("key")
        with pytest.raises(StoreUnreadableError, match="cannot be locked"):
            store.lock("key", 1).__enter__()
        server.restart()
        assert store.load("key") == WHOLE
        # The lease survived the restart and expires.
        with store.lock("key", LOCK_WAIT) as later:
            assert later > fence
            store.save("key", Token("newer"), fence=later)
        with pytest.raises(StoreLockError), store.lock("key", 0), store.lock("key", 0):
            pass
