"""Connections to a database whose statements are committed one by one, and its tables."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, TimeoutError as PoolTimeout

from grantway._exceptions import ConfigurationError
from grantway._processes.per_loop import PerLoop
from grantway._processes.threads import in_thread
from grantway._secrets.masked import Masked
from grantway._types.quantity import MOST_CONNECTIONS, check_count, check_seconds
from grantway_plugins._databases.connection_security import require_encrypted
from grantway_plugins._sql.engine import LONGEST_MS, create_private_file, make_engine
from grantway_plugins._sql.failures import explain
from grantway_plugins._sql.urls import (
    STRAY_AT,
    has_stray_at,
    hosts_without_tls,
    location,
    parse_url,
    sqlite_file,
)
from grantway_plugins._sql.versioned_tables import VersionedTables, create_or_check

_RULE = (
    "must be like postgresql+psycopg://USER:PASSWORD@HOST:PORT/DATABASE, or "
    "sqlite:////PATH/TO/tokens.sqlite3"
)


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement and its values, which its repr does not show: they may contain a token.

    It must be idempotent, because it is repeated if the connection is lost.

    Attributes:
        statement: The statement.
        values: Values of its parameters, or several to run it with each.
        then: Statements that are run in the same transaction if the first one returns a row.
    """

    statement: sa.Executable
    values: Mapping[str, Any] | Sequence[Mapping[str, Any]] = field(
        repr=False, default_factory=dict
    )
    then: tuple[Statement, ...] = ()


class Database:
    """Bounded pools of connections to a database.

    Threads share one pool, and each event loop has its own.

    Args:
        url: SQLAlchemy URL of the database.
        tables: The tables. They are created before the first statement runs.
        timeout: Seconds that a statement may take, and to wait for a free connection.
        connections: Maximum number of open connections in each pool.
        allow_insecure: Whether to accept a server on another host without TLS.

    Attributes:
        where: Location of the database without credentials, for errors.
        engine: Engine in autocommit mode.
        tables: The tables.

    Raises:
        ConfigurationError: The URL is invalid.
    """

    def __init__(
        self,
        url: Masked[str],
        *,
        tables: VersionedTables,
        timeout: float = 5.0,
        connections: int = 8,
        allow_insecure: bool = False,
    ) -> None:
        check_seconds("timeout", timeout)
        check_count("connections", connections, most=MOST_CONNECTIONS)
        self.tables = tables
        self.engine = _engine(url, timeout, connections)
        self._runs_on_loops = _runs_on_loops(self.engine)
        self._loops = PerLoop(
            lambda: _engine(url, timeout, connections, asynchronous=True), _dispose
        )
        self._server = self.engine.dialect.name == "postgresql"
        if self._server:
            require_encrypted(
                hosts_without_tls(self.engine.url),
                allow_insecure=allow_insecure,
                remedy="add ?sslmode=verify-full (or require)",
            )
        self.where = location(self.engine.url)
        self._starting = threading.Lock()
        self._ready = False
        self._process = os.getpid()

    def run(self, command: Statement) -> tuple[Masked[list[Any]], str]:
        """Return the statement's rows and a problem, which is empty on success.

        The caller raises the error, because the frames of SQLAlchemy's error contain the record.
        """
        return self._run(self.engine, self._start, command)

    async def run_async(self, command: Statement) -> tuple[Masked[list[Any]], str]:
        """Do the same as ``run`` on the event loop, or in a thread if the driver only blocks."""
        if not self._runs_on_loops:
            return await in_thread(self.run, command)
        from sqlalchemy.util import greenlet_spawn  # noqa: PLC0415 - not needed without a loop

        # It runs blocking code of SQLAlchemy and awaits the driver wherever that would block.
        engine = self._loops.get()
        return await greenlet_spawn(self._run, engine, lambda: self._prepare(engine), command)

    def _run(
        self, engine: sa.Engine, start: Callable[[], None], command: Statement
    ) -> tuple[Masked[list[Any]], str]:
        try:
            start()
            try:
                return Masked(_rows(engine, command)), ""
            except DBAPIError as failed:
                if not failed.connection_invalidated:
                    raise
            # The idle connection had been closed. Retry once: all statements are idempotent.
            return Masked(_rows(engine, command)), ""
        except (DBAPIError, PoolTimeout, OSError) as failed:
            return Masked([]), explain(failed).text

    def _start(self) -> None:
        """Create the tables on first use, and drop inherited connections after a fork."""
        if self._ready and self._process == os.getpid():
            return
        with self._starting:
            if self._process != os.getpid():
                # A reference, because garbage collection would close the parent's connections.
                self._parent_pool = self.engine.pool
                self.engine.dispose(close=False)
                self._process = os.getpid()
            self._prepare(self.engine)

    def _prepare(self, engine: sa.Engine) -> None:
        if self._ready:
            return
        file = None if self._server else sqlite_file(self.engine.url)
        if file is not None:
            create_private_file(file)
        create_or_check(engine, self.tables, self.where)
        self._ready = True

    def close(self) -> None:
        """Close the connections of threads."""
        self.engine.dispose()

    async def close_async(self) -> None:
        """Close the connections of the running event loop."""
        await self._loops.close()


def _rows(engine: sa.Engine, command: Statement) -> list[Any]:
    with engine.connect() as connection:
        if command.then:
            return _transaction(connection, command)
        result = connection.execute(command.statement, command.values)
        # Fetch all rows: SQLite commits, and can fail to commit, only after the last.
        return list(result.all()) if result.returns_rows else []


def _transaction(connection: sa.Connection, command: Statement) -> list[Any]:
    """Run a statement and those that follow it in one transaction, and return the first's rows."""
    # The connection is in autocommit mode, so the transaction needs explicit statements.
    lite = connection.dialect.name == "sqlite"
    connection.exec_driver_sql("BEGIN IMMEDIATE" if lite else "BEGIN")
    try:
        rows = list(connection.execute(command.statement, command.values).all())
        for each in command.then if rows else ():
            connection.execute(each.statement, each.values)
        connection.exec_driver_sql("COMMIT")
    except BaseException:
        connection.invalidate()
        raise
    return rows


async def _dispose(engine: sa.Engine) -> None:
    from sqlalchemy.util import greenlet_spawn  # noqa: PLC0415 - as in run_async()

    await greenlet_spawn(engine.dispose)


def _runs_on_loops(engine: sa.Engine) -> bool:
    """Return whether SQLAlchemy can use this engine's driver on an event loop."""
    return (
        engine.dialect.driver == "psycopg"
        and sys.platform != "win32"  # psycopg does not support the default event loop of Windows
        and find_spec("greenlet") is not None
    )


def _engine(
    url: Masked[str], timeout: float, connections: int, *, asynchronous: bool = False
) -> sa.Engine:
    """Return an engine in autocommit mode, without connecting yet.

    Autocommit ensures that no database lock outlasts a statement, even if this process is
    suspended. PostgreSQL ends a transaction that waits for this process for longer than
    ``timeout``.

    Raises:
        ConfigurationError: The URL is not one of SQLite or PostgreSQL, or its driver is not
            installed.
    """
    engine, problem = _make_engine(url, timeout, connections, asynchronous)
    if engine is None:
        raise ConfigurationError(f"url: {problem}.", errors={"url": [problem]})
    if engine.dialect.name == "postgresql":
        longest = min(int(timeout * 1000), LONGEST_MS)

        @event.listens_for(engine, "connect")
        def connect(connection: Any, _record: Any) -> None:
            with closing(connection.cursor()) as cursor:
                # Respect settings stricter than "on", such as waiting for replicas.
                cursor.execute(
                    f"SELECT set_config('statement_timeout', '{longest}', false), "
                    f"set_config('idle_in_transaction_session_timeout', '{longest}', false), "
                    "CASE WHEN current_setting('synchronous_commit') = 'off' "
                    "THEN set_config('synchronous_commit', 'on', false) END"
                )

    return engine


def _make_engine(
    url: Masked[str], timeout: float, connections: int, asynchronous: bool
) -> tuple[sa.Engine | None, str]:
    """Return an engine and a problem, which is empty on success.

    The caller raises the error, because the parsed URL shows passwords in its query.
    """
    parsed = parse_url(url, "the URL to an absolute path")
    if parsed is None:
        return None, _RULE
    if has_stray_at(parsed):
        return None, STRAY_AT
    backend = parsed.get_backend_name()
    if backend != "postgresql" and (backend != "sqlite" or sqlite_file(parsed) is None):
        return None, _RULE
    return make_engine(
        parsed,
        busy_timeout=timeout,
        connect_timeout=max(2, int(timeout)),
        synchronous="FULL",  # a save is on disk when it returns
        rule=_RULE,
        asynchronous=asynchronous,
        isolation_level="AUTOCOMMIT",
        pool_size=connections,
        max_overflow=0,
        pool_timeout=timeout,
    )
