"""The connections to a database, its tables, and the lease of a key there."""

from __future__ import annotations

import hashlib
import os
import secrets
import threading
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, TimeoutError as PoolTimeout

from grantway._exceptions import StoreUnreadableError
from grantway._secrets.masked import Masked
from grantway._types.quantity import MOST_CONNECTIONS, check_count, check_seconds
from grantway_plugins.stores._shared.connection_security import require_encrypted

from ._engine import explain, hosts_in_the_clear, make_file, open_engine, place
from ._statements import Statements
from ._tables import make_or_check, tables


def digest(key: str) -> str:
    """What stands for a key in its table."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


class SqlDatabase:
    """A bounded pool of connections, and the statements that run at their other end.

    Args:
        url: As SQLAlchemy takes it.
        prefix: What the names of the tables begin with.
        timeout: Seconds that a statement may take, and to wait for a free connection.
        connections: How many are kept open at most.

    Attributes:
        where: The database as an error may name it.
        engine: Commits each statement by itself.
        tables: Made before the first statement of ``do``.
        do: The statements.

    Raises:
        ConfigurationError: the URL is none that is served, or the prefix none of a table.
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
        self.engine = open_engine(url, timeout=timeout, connections=connections)
        if self.engine.dialect.name == "postgresql":
            require_encrypted(
                hosts_in_the_clear(self.engine.url),
                allow_insecure=allow_insecure,
                remedy="add ?sslmode=verify-full (or require)",
            )
        self.where = place(self.engine)
        self.do = Statements(self.tables, self.engine.dialect.name)
        self._starting = threading.Lock()
        self._made = False
        self._process = os.getpid()

    def ask(
        self, statement: sa.Executable, values: Masked[dict[str, Any]] | Mapping[str, Any]
    ) -> tuple[Masked[list[Any]], str]:
        """The rows that a statement gives, or what its failure means; raised by who asks.

        The error itself holds the values, and so the record, in the locals of its frames.
        """
        given = values.value if isinstance(values, Masked) else values
        try:
            self._start()
            try:
                return Masked(self._rows(statement, given)), ""
            except DBAPIError as failed:
                if not failed.connection_invalidated:
                    raise
            # It was closed while it was idle; what is asked twice has the same effect.
            return Masked(self._rows(statement, given)), ""
        except (DBAPIError, PoolTimeout, OSError) as failed:
            return Masked([]), explain(failed)

    def _rows(self, statement: sa.Executable, values: Mapping[str, Any]) -> list[Any]:
        with self.engine.connect() as connection:
            result = connection.execute(statement, values)
            # To the last row: SQLite commits, and may fail to, only then.
            return list(result.all()) if result.returns_rows else []

    def _start(self) -> None:
        """Make the tables before the first use, and leave a parent's connections to the parent."""
        if self._made and self._process == os.getpid():
            return
        with self._starting:
            if self._process != os.getpid():
                self._parents = self.engine.pool  # kept: what is collected would be closed
                self.engine.dispose(close=False)
                self._process = os.getpid()
            if not self._made:
                make_file(self.engine)
                make_or_check(self.engine, self.tables, self.where)
                self._made = True

    def close(self) -> None:
        """Close the connections."""
        self.engine.dispose()


class SqlLease:
    """See ``lease.Lease``."""

    def __init__(self, database: SqlDatabase, key: str, seconds: float) -> None:
        self._database = database
        self._whose = {"of": digest(key), "by": secrets.token_hex(16)}
        self._values = {**self._whose, "lease": int(seconds * 1000)}

    def take(self) -> int | None:
        """See ``lease.Lease``."""
        # Reading first: who waits does not write each time that it looks.
        if self._ask(self._database.do.busy, self._whose):
            return None
        rows = self._ask(self._database.do.take, self._values)
        return int(rows[0][0]) if rows else None

    def renew(self) -> bool:
        """See ``lease.Lease``."""
        return bool(self._ask(self._database.do.renew, self._values))

    def give_up(self) -> None:
        """See ``lease.Lease``."""
        self._ask(self._database.do.give_up, self._whose)

    def _ask(self, statement: sa.Executable, values: Mapping[str, Any]) -> list[Any]:
        rows, problem = self._database.ask(statement, values)
        if problem:
            raise StoreUnreadableError(f"{self._database.where}: cannot be locked: {problem}.")
        return rows.value
