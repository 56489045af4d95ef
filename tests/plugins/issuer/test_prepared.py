"""Prepared statements for SQLite and PostgreSQL."""

from __future__ import annotations

from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.postgresql import psycopg

from grantway_plugins.issuer._storage import client_rows, pruning, statements
from grantway_plugins.issuer._storage.prepared import Prepared

STATEMENTS = [
    each
    for module in (client_rows, pruning, statements)
    for value in vars(module).values()
    for each in (value.values() if isinstance(value, dict) else [value])
    if isinstance(each, Prepared)
]


def test_every_statement_compiles_for_both_databases() -> None:
    assert len(STATEMENTS) > 20
    for statement in STATEMENTS:
        sql, names, fixed = statement.on(sqlite.dialect())
        assert names is not None
        assert sql.count("?") == len(names)
        sql, by_name, _fixed = statement.on(psycopg.dialect())
        assert by_name is None
        assert all(f"%({name})s" in sql for name in set(names) - set(fixed))
        assert "?" not in sql


def test_locks_the_family_on_postgresql() -> None:
    sql, _names, _fixed = statements.REFRESH_TOKEN.on(psycopg.dialect())
    assert "FOR UPDATE OF families" in sql
