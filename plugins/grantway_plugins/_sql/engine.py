"""Engines: timeouts, SQLite's write-ahead log, and private files."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import SQLAlchemyError

#: Detection of dead connections by libpq, in seconds and tries.
_KEEPALIVES = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
#: Longest time that PostgreSQL and SQLite accept, in milliseconds. SQLite would not wait at all.
LONGEST_MS = 2**31 - 1
#: Key of the PostgreSQL advisory lock that is held while tables are created: "grantway" in ASCII.
_SCHEMA_LOCK = 0x6772616E74776179


def make_engine(
    url: sa.URL,
    *,
    busy_timeout: float,
    connect_timeout: int,
    synchronous: Literal["NORMAL", "FULL"],
    rule: str,
    asynchronous: bool = False,
    **options: Any,
) -> tuple[sa.Engine | None, str]:
    """Return an engine that has not connected yet, and a problem, which is empty on success.

    The caller raises the error, because SQLAlchemy's errors quote the URL.

    Args:
        url: The database.
        busy_timeout: Seconds that SQLite waits for another process's transaction.
        connect_timeout: Seconds that PostgreSQL may take to accept a connection. A connection
            whose data is not acknowledged for three times as long is considered lost.
        synchronous: Whether SQLite syncs each commit to disk (``FULL``).
        rule: The problem of a URL that SQLAlchemy does not support.
        asynchronous: Whether to use the driver's asynchronous interface. Such an engine works only
            within ``sqlalchemy.util.greenlet_spawn``.
        **options: Further options of ``sqlalchemy.create_engine``.
    """
    lite = url.get_backend_name() == "sqlite"
    given: dict[str, Any] = options.pop("connect_args", {})
    try:
        if lite:
            given["timeout"] = min(busy_timeout, LONGEST_MS / 1000)
        elif url.get_driver_name() in {"psycopg", "psycopg2"}:
            # libpq would wait forever for a server that does not respond.
            given = {
                **_KEEPALIVES,
                "connect_timeout": connect_timeout,
                "tcp_user_timeout": min(3000 * connect_timeout, LONGEST_MS),
            }
        arguments = {name: value for name, value in given.items() if name not in url.query}
        given = {"hide_parameters": True, "connect_args": arguments, **options}
        engine = _async_engine(url, given) if asynchronous else sa.create_engine(url, **given)
    except ImportError as missing:  # without a name: psycopg cannot load libpq
        name = missing.name or "psycopg"
        package = "'psycopg[binary]'" if name == "psycopg" else name
        return None, f"needs {name}; install it with: pip install {package}"
    except (SQLAlchemyError, ValueError, TypeError):
        return None, rule
    if lite:

        @event.listens_for(engine, "connect")
        def connect(connection: Any, _record: Any) -> None:
            with closing(connection.cursor()) as cursor:
                _enable_wal(cursor, busy_timeout)
                cursor.execute(f"PRAGMA synchronous={synchronous}")

    return engine, ""


def _async_engine(url: sa.URL, options: dict[str, Any]) -> sa.Engine:
    from sqlalchemy.ext.asyncio import (  # noqa: PLC0415 - not needed without an event loop
        create_async_engine,
    )

    return create_async_engine(url, **options).sync_engine


def _enable_wal(cursor: Any, timeout: float) -> None:
    """Enable the write-ahead log, so that readers do not wait for a writer."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as failed:
            # SQLite's busy timeout does not apply to this pragma.
            busy = (failed.sqlite_errorcode & 0xFF) == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() > deadline:
                raise
            time.sleep(0.005)
        else:
            return


def create_private_file(path: Path) -> None:
    """Create a file that only this user can access, and its folder, unless they exist.

    Raises:
        OSError: The file cannot be created.
    """
    if not path.parent.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))


def lock_schema(connection: sa.Connection) -> None:
    """Lock PostgreSQL's tables against creation by others until the transaction ends.

    SQLite needs no lock: its ``BEGIN IMMEDIATE`` has locked the whole database.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_SCHEMA_LOCK)))
