"""The connection of the store's thread, which stays open between transactions."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import sqlalchemy as sa

from grantway._processes.copies import OneProcess

from .prepared import Cursor

#: Time for which a transaction of several requests waits for a lock in PostgreSQL, in milliseconds.
SHARED_LOCK_TIMEOUT = 100


class Writer(OneProcess):
    """Runs transactions on the driver's own connection.

    SQLAlchemy opens the connection and detects lost ones. Its transactions are bypassed, because
    checking a connection out and in takes longer than the transaction of a refresh in SQLite.

    Args:
        engine: The database.
    """

    stays = "it holds a connection of the database"

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._locks_at_begin = engine.dialect.name == "sqlite"
        #: Whether the database is a server, and the driver sends statements in batches.
        self.has_batches = engine.dialect.driver == "psycopg" and _has_pipelines(engine.dialect)
        self._connection: Any = None
        self._cursor: Any = None

    def begin(self, *, shared: bool = False) -> Cursor:
        """Begin a transaction; open the connection if there is none.

        Args:
            shared: Whether several requests share the transaction, so that it locks rows in the
                order of their arrival. With another issuer, that can end in a deadlock, which
                PostgreSQL detects only after a second.
        """
        if self._connection is None:
            self._connection = self._engine.raw_connection()
            self._cursor = self._connection.cursor()
        if self._locks_at_begin:  # other drivers begin with the first statement
            self._cursor.execute("BEGIN IMMEDIATE")
        elif shared and self._engine.dialect.name == "postgresql":
            self._cursor.execute(f"SET LOCAL lock_timeout = {SHARED_LOCK_TIMEOUT}")
        return Cursor(self._cursor, self._engine.dialect)

    def batching(self) -> AbstractContextManager[object]:
        """Return a context whose statements are sent together, if the driver can do this.

        Their results must not be used before the end of the context, which raises their errors.
        """
        return self._connection.pipeline() if self.has_batches else nullcontext()

    def commit(self) -> None:
        """Commit the transaction."""
        self._connection.commit()

    def roll_back(self) -> None:
        """Roll the transaction back; close a connection that cannot do this."""
        if self._connection is None:
            return
        try:
            self._connection.rollback()
        except Exception:  # noqa: BLE001 - drivers raise various errors for a lost connection
            self.disconnect()

    def is_lost(self, failed: Exception) -> bool:
        """Return whether a driver's error means that there is no connection any more."""
        if self._connection is None:
            return True
        dialect: Any = self._engine.dialect
        return bool(dialect.is_disconnect(failed, self._connection.dbapi_connection, None))

    def disconnect(self) -> None:
        """Close a lost connection; the next transaction opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._engine.dispose()


def _has_pipelines(dialect: sa.Dialect) -> bool:
    """Return whether libpq is new enough for psycopg's pipelines."""
    driver: Any = dialect.loaded_dbapi
    return bool(driver.Pipeline.is_supported())
