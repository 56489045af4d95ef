"""The two tables of a store, and their creation."""

from __future__ import annotations

import re
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.exc import NoSuchTableError

from grantway._exceptions import ConfigurationError, StoreUnreadableError
from grantway_plugins._sql.engine import lock_schema

#: Version of the tables. Increase it with every change of a table.
VERSION = 1

_PREFIX = re.compile(r"[a-z_][a-z0-9_]{0,39}")


@dataclass(frozen=True)
class Tables:
    """The tables of a store with one prefix.

    Attributes:
        version: One row with the version of the tables.
        tokens: One row per key, with times in milliseconds of the database's clock:

            - ``key``: SHA-256 of the key, so that any text works in any collation;
            - ``record``: the token record, or NULL;
            - ``fence``: the fence of the last lease;
            - ``changed``: the fence of the last save or delete, or 0;
            - ``owner``, ``held_until``: the lease, or NULL;
            - ``forget_at``: the time when the row can be removed, or NULL for never.
    """

    version: sa.Table
    tokens: sa.Table


def tables(prefix: str) -> Tables:
    """Return the tables with a prefix.

    Raises:
        ConfigurationError: The prefix is not valid in every database.
    """
    if not _PREFIX.fullmatch(prefix):
        rule = "must be at most 40 lower-case letters, digits and _, and not start with a digit"
        raise ConfigurationError(f"prefix: {rule}.", errors={"prefix": [rule]})
    metadata = sa.MetaData()
    # PostgreSQL's INTEGER has only 32 bits.
    number = sa.BigInteger()
    return Tables(
        sa.Table(f"{prefix}version", metadata, sa.Column("version", sa.Integer, primary_key=True)),
        sa.Table(
            f"{prefix}tokens",
            metadata,
            sa.Column("key", sa.String(64), primary_key=True),
            sa.Column("record", sa.LargeBinary),
            sa.Column("fence", number, nullable=False),
            sa.Column("changed", number, nullable=False),
            sa.Column("owner", sa.String(32)),
            sa.Column("held_until", number),
            sa.Column("forget_at", number, index=True),
        ),
    )


def create_or_check(engine: sa.Engine, own: Tables, where: str) -> None:
    """Create the tables, or check those that exist. Several processes may do so at once.

    Raises:
        StoreUnreadableError: The existing tables are of another program or another version.
        sqlalchemy.exc.SQLAlchemyError: The database failed.
    """
    with engine.connect() as connection:
        try:
            ready = _exist(connection, own, where)
        except StoreUnreadableError:
            # Another process may be creating the tables; check again under the lock.
            ready = False
        if not ready:
            _create(connection, own, where)


def _exist(connection: sa.Connection, own: Tables, where: str) -> bool:
    """Return whether the tables exist; raise if they belong to another program or version."""
    version, tokens = _columns(connection, own.version), _columns(connection, own.tokens)
    if version is None and tokens is None:
        return False
    if version is None or "version" not in version:
        raise _foreign(where, own.tokens.name if version is None else own.version.name)
    found = list(connection.scalars(sa.select(own.version.c.version)))
    if found != [VERSION]:
        listing = ", ".join(map(str, found)) or "none"
        raise StoreUnreadableError(
            f"{where}: the table {own.version.name} has version {listing}, but this version of "
            f"grantway needs {VERSION}; nothing was changed. Use the version of grantway that "
            "created the table, or give the store another prefix."
        )
    if tokens is None or not tokens >= set(own.tokens.columns.keys()):
        raise _foreign(where, own.tokens.name)
    return True


def _columns(connection: sa.Connection, table: sa.Table) -> set[str] | None:
    try:
        return {column["name"] for column in sa.inspect(connection).get_columns(table.name)}
    except NoSuchTableError:
        return None


def _foreign(where: str, name: str) -> StoreUnreadableError:
    return StoreUnreadableError(
        f"{where}: the table {name} is missing, corrupt or not grantway's; nothing was changed. "
        "Give the store another prefix, or another database."
    )


def _create(connection: sa.Connection, own: Tables, where: str) -> None:
    sqlite = connection.dialect.name == "sqlite"
    # The connection is in autocommit mode, so the transaction needs explicit statements.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if sqlite else "BEGIN")
    try:
        lock_schema(connection)
        if not _exist(connection, own, where):
            own.tokens.metadata.create_all(connection, checkfirst=False)
            connection.execute(sa.insert(own.version), {"version": VERSION})
        connection.exec_driver_sql("COMMIT")
    except BaseException:
        connection.invalidate()
        raise
