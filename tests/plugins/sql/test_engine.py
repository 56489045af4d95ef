"""Tests of the engines that the issuer and the ``sql`` store share."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from grantway._secrets.masked import Masked
from grantway_plugins._sql.engine import create_private_file, make_engine
from grantway_plugins._sql.urls import parse_url
from tests.postgres import PostgresServer, postgres_server
from tests.waiting import PATIENCE

RULE = "must be a URL"


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as running:
        yield running


@contextmanager
def engine(url: str, **options: Any) -> Iterator[sa.Engine]:
    given: dict[str, Any] = {
        "busy_timeout": PATIENCE,
        "connect_timeout": 7,
        "synchronous": "FULL",
        **options,
    }
    parsed = parse_url(Masked(url), "the URL")
    assert parsed is not None
    made, problem = make_engine(parsed, rule=RULE, **given)
    assert made is not None, problem
    try:
        yield made
    finally:
        made.dispose()


def parameters(engine: sa.Engine) -> dict[str, str]:
    """Return libpq's parameters of a new connection."""
    with closing(engine.raw_connection()) as connection:
        driver: Any = connection.driver_connection
        found: dict[str, str] = driver.info.get_parameters()
    return found


def test_detects_lost_connections_to_postgresql(postgres: PostgresServer) -> None:
    with engine(postgres.url) as made:
        found = parameters(made)
    assert (found["connect_timeout"], found["tcp_user_timeout"]) == ("7", "21000")
    assert (found["keepalives_idle"], found["keepalives_count"]) == ("10", "3")


def test_options_in_the_url_take_precedence(postgres: PostgresServer) -> None:
    with engine(f"{postgres.url}&keepalives_idle=99&connect_timeout=5") as made:
        found = parameters(made)
    assert (found["keepalives_idle"], found["connect_timeout"]) == ("99", "5")


def test_waits_for_a_writer_before_it_enables_the_write_ahead_log(tmp_path: Path) -> None:
    file = tmp_path / "new.db"
    connecting = threading.Event()

    def journal_mode() -> str:
        with engine(f"sqlite:///{file}") as made:
            sa.event.listen(made, "do_connect", lambda *_arguments: connecting.set())
            with made.connect() as connection:
                mode: str = connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()
                return mode

    with (
        ThreadPoolExecutor(1) as threads,
        closing(sqlite3.connect(file, isolation_level=None)) as writer,
    ):
        writer.execute("CREATE TABLE other (name TEXT)")
        writer.execute("BEGIN EXCLUSIVE")
        waiting = threads.submit(journal_mode)
        assert connecting.wait(PATIENCE)
        writer.execute("COMMIT")
        assert waiting.result(PATIENCE) == "wal"


def test_stops_waiting_for_a_writer_after_the_timeout(tmp_path: Path) -> None:
    file = tmp_path / "new.db"
    with (
        closing(sqlite3.connect(file, isolation_level=None)) as writer,
        engine(f"sqlite:///{file}", busy_timeout=0.05) as made,
    ):
        writer.execute("CREATE TABLE other (name TEXT)")
        writer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sa.exc.OperationalError, match="locked"):
            made.connect()


def test_sqlite_waits_however_long_the_timeout_is(tmp_path: Path) -> None:
    with (
        engine(f"sqlite:///{tmp_path}/new.db", busy_timeout=1e9) as made,
        made.connect() as connection,
    ):
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one() > 10**9


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("nothing://host/database", RULE),
        ("postgresql+nothing://host/database", RULE),
        ("mysql+no_such_driver://host/database", RULE),
        (
            "oracle+oracledb://host/database",
            "needs oracledb; install it with: pip install oracledb",
        ),
    ],
)
def test_returns_the_problem_of_an_unsupported_url(url: str, problem: str) -> None:
    parsed = parse_url(Masked(url), "the URL")
    assert parsed is not None
    made = make_engine(parsed, busy_timeout=1, connect_timeout=1, synchronous="FULL", rule=RULE)
    assert made == (None, problem)


@pytest.mark.parametrize("name", ["psycopg", None], ids=["missing", "without libpq"])
def test_names_the_package_of_a_driver_that_cannot_be_imported(
    monkeypatch: pytest.MonkeyPatch, name: str | None
) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise ImportError("no pq wrapper available", name=name)

    monkeypatch.setattr(sa, "create_engine", fail)
    parsed = parse_url(Masked("postgresql+psycopg://host/database"), "the URL")
    assert parsed is not None
    made = make_engine(parsed, busy_timeout=1, connect_timeout=1, synchronous="FULL", rule=RULE)
    assert made == (None, "needs psycopg; install it with: pip install 'psycopg[binary]'")


def test_creates_a_private_file_and_folder_and_changes_no_existing_one(tmp_path: Path) -> None:
    file = tmp_path / "made" / "database"
    create_private_file(file)
    modes = (file.parent.stat().st_mode & 0o777, file.stat().st_mode & 0o777)
    assert modes == (0o700, 0o600)
    file.chmod(0o644)
    file.write_bytes(b"content")
    create_private_file(file)
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"content", 0o644)
