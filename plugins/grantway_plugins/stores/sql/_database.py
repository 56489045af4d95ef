"""Connections to a database, its tables, and leases of its keys."""

from __future__ import annotations

import hashlib
import os
import secrets
import threading
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, TimeoutError as PoolTimeout

from grantway._exceptions import ConfigurationError, StoreUnreadableError
from grantway._secrets.masked import Masked
from grantway._types.quantity import MOST_CONNECTIONS, check_count, check_seconds
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
from grantway_plugins.stores._shared.connection_security import require_encrypted

from ._statements import Statements
from ._tables import create_or_check, tables

_RULE = (
    "must be like postgresql+psycopg://USER:PASSWORD@HOST:PORT/DATABASE, or "
    "sqlite:////PATH/TO/tokens.sqlite3"
)


def digest(key: str) -> str:
    """Return the digest that identifies a key in the table."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


class SqlDatabase:
    """A bounded pool of connections to a database, and the statements that it runs.

    Args:
        url: SQLAlchemy URL of the database.
        prefix: Prefix of the table names.
        timeout: Seconds that a statement may take, and to wait for a free connection.
        connections: Maximum number of open connections.
        allow_insecure: Whether to accept a server on another host without TLS.

    Attributes:
        where: Location of the database without credentials, for errors.
        engine: Engine in autocommit mode.
        tables: The store's tables. They are created before the first statement runs.
        statements: The store's statements.

    Raises:
        ConfigurationError: The URL or the prefix is invalid.
    """

    def __init__(
        self,
        url: Masked[str],
        *,
        prefix: str,
        timeout: float,
        connections: int,
        allow_insecure: bool,
    ) -> None:
        check_seconds("timeout", timeout)
        check_count("connections", connections, most=MOST_CONNECTIONS)
        self.tables = tables(prefix)
        self.engine = _engine(url, timeout, connections)
        self._server = self.engine.dialect.name == "postgresql"
        if self._server:
            require_encrypted(
                hosts_without_tls(self.engine.url),
                allow_insecure=allow_insecure,
                remedy="add ?sslmode=verify-full (or require)",
            )
        self.where = location(self.engine.url)
        self.statements = Statements(self.tables, self.engine.dialect.name)
        self._starting = threading.Lock()
        self._ready = False
        self._process = os.getpid()

    def run(
        self, statement: sa.Executable, values: Masked[dict[str, Any]] | Mapping[str, Any]
    ) -> tuple[Masked[list[Any]], str]:
        """Return the statement's rows and a problem, which is empty on success.

        The caller raises the error, because the frames of SQLAlchemy's error contain the record.
        """
        given = values.value if isinstance(values, Masked) else values
        try:
            self._start()
            try:
                return Masked(self._rows(statement, given)), ""
            except DBAPIError as failed:
                if not failed.connection_invalidated:
                    raise
            # The idle connection had been closed. Retry once: all statements are idempotent.
            return Masked(self._rows(statement, given)), ""
        except (DBAPIError, PoolTimeout, OSError) as failed:
            return Masked([]), explain(failed).text

    def _rows(self, statement: sa.Executable, values: Mapping[str, Any]) -> list[Any]:
        with self.engine.connect() as connection:
            result = connection.execute(statement, values)
            # Fetch all rows: SQLite commits, and can fail to commit, only after the last.
            return list(result.all()) if result.returns_rows else []

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
            if not self._ready:
                file = None if self._server else sqlite_file(self.engine.url)
                if file is not None:
                    create_private_file(file)
                create_or_check(self.engine, self.tables, self.where)
                self._ready = True

    def close(self) -> None:
        """Close the connections."""
        self.engine.dispose()


class SqlLease:
    """The lease of one row; see ``lease.Lease``."""

    def __init__(self, database: SqlDatabase, key: str, seconds: float) -> None:
        self._database = database
        self._owner = {"digest": digest(key), "owner_id": secrets.token_hex(16)}
        self._values = {**self._owner, "lease": int(seconds * 1000)}

    def acquire(self) -> int | None:
        """Acquire the lease; see ``lease.Lease``."""
        # Read first, so that waiting processes do not write on every attempt.
        if self._run(self._database.statements.busy, self._owner):
            return None
        rows = self._run(self._database.statements.acquire, self._values)
        return int(rows[0][0]) if rows else None

    def extend(self) -> bool:
        """Extend the lease; see ``lease.Lease``."""
        return bool(self._run(self._database.statements.extend, self._values))

    def release(self) -> None:
        """Release the lease; see ``lease.Lease``."""
        self._run(self._database.statements.release, self._owner)

    def _run(self, statement: sa.Executable, values: Mapping[str, Any]) -> list[Any]:
        rows, problem = self._database.run(statement, values)
        if problem:
            raise StoreUnreadableError(f"{self._database.where}: cannot be locked: {problem}.")
        return rows.value


def _engine(url: Masked[str], timeout: float, connections: int) -> sa.Engine:
    """Return an engine in autocommit mode, without connecting yet.

    Autocommit ensures that no database lock outlasts a statement, even if this process is
    suspended.

    Raises:
        ConfigurationError: The URL is not one of SQLite or PostgreSQL, or its driver is not
            installed.
    """
    engine, problem = _make_engine(url, timeout, connections)
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
                    "CASE WHEN current_setting('synchronous_commit') = 'off' "
                    "THEN set_config('synchronous_commit', 'on', false) END"
                )

    return engine


def _make_engine(
    url: Masked[str], timeout: float, connections: int
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
        isolation_level="AUTOCOMMIT",
        pool_size=connections,
        max_overflow=0,
        pool_timeout=timeout,
    )
