"""Statements of SQLAlchemy Core, compiled once and run on the driver's own cursor.

SQLAlchemy generates the SQL and owns connections and transactions. Its result layer is bypassed:
for rows this small it takes four times as long as SQLite itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.sql.compiler import SQLCompiler

Values = Mapping[str, Any]


class Prepared:
    """A statement that is compiled once per SQL dialect.

    Args:
        statement: The statement, with a named ``bindparam`` for each value.
    """

    def __init__(self, statement: sa.ClauseElement) -> None:
        self._statement = statement
        self._compiled: dict[str, tuple[str, list[str] | None, dict[str, Any]]] = {}

    def on(self, dialect: sa.Dialect) -> tuple[str, list[str] | None, dict[str, Any]]:
        """Return the SQL, the order of its parameters (None if named), and constant values."""
        known = self._compiled.get(dialect.driver)
        if known is None:
            compiled = cast("SQLCompiler", self._statement.compile(dialect=dialect))
            names = list(compiled.positiontup or ()) if compiled.positional else None
            fixed = {name: value for name, value in compiled.params.items() if value is not None}
            known = self._compiled[dialect.driver] = (str(compiled), names, fixed)
        return known


class Cursor:
    """A driver's cursor that runs prepared statements in one transaction.

    Args:
        cursor: A cursor of a connection with an open transaction.
        dialect: The dialect of the connection.
    """

    def __init__(self, cursor: Any, dialect: sa.Dialect) -> None:
        self._cursor = cursor
        self._dialect = dialect
        #: Whether a statement failed.
        self.failed = False

    def row(self, prepared: Prepared, values: Values) -> Any:
        """Run a query and return its first row, or None."""
        self._run(prepared, values)
        return self._cursor.fetchone()

    def rows(self, prepared: Prepared, values: Values) -> list[Any]:
        """Run a query and return all its rows."""
        self._run(prepared, values)
        found: list[Any] = self._cursor.fetchall()
        return found

    def change(self, prepared: Prepared, values: Values) -> int:
        """Run a statement and return the number of affected rows."""
        self._run(prepared, values)
        count: int = self._cursor.rowcount
        return count

    def change_all(self, prepared: Prepared, rows: list[dict[str, Any]]) -> None:
        """Run a statement for each row of values."""
        sql, names, _fixed = prepared.on(self._dialect)
        if names is None:
            self._cursor.executemany(sql, rows)
        else:
            self._cursor.executemany(sql, [[row[name] for name in names] for row in rows])

    def _run(self, prepared: Prepared, values: Values) -> None:
        sql, names, fixed = prepared.on(self._dialect)
        if fixed:
            values = {**fixed, **values}
        try:
            self._cursor.execute(sql, values if names is None else [values[name] for name in names])
        except BaseException:
            self.failed = True
            raise
