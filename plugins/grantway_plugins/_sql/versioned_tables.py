"""Creation and checks of tables, which are created in their current version on first use."""

from __future__ import annotations

import re
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.exc import NoSuchTableError

from grantway._exceptions import ConfigurationError, StoreUnreadableError

from .engine import lock_schema

_PREFIX = re.compile(r"[a-z_][a-z0-9_]{0,39}")


@dataclass(frozen=True)
class VersionedTables:
    """Tables of one version, with the same metadata.

    Attributes:
        version: A table with one row: the version of the tables.
        content: The other tables.
        number: The version that this version of grantway needs.
    """

    version: sa.Table
    content: tuple[sa.Table, ...]
    number: int


def version_table(name: str, metadata: sa.MetaData) -> sa.Table:
    """Return the table with the version of the others."""
    return sa.Table(name, metadata, sa.Column("version", sa.Integer, primary_key=True))


def check_prefix(prefix: str) -> None:
    """Check a prefix of table names.

    Raises:
        ConfigurationError: The prefix is not valid in every database.
    """
    if not _PREFIX.fullmatch(prefix):
        rule = "must be at most 40 lower-case letters, digits and _, and not start with a digit"
        raise ConfigurationError(f"prefix: {rule}.", errors={"prefix": [rule]})


def create_or_check(engine: sa.Engine, own: VersionedTables, where: str) -> None:
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


def _exist(connection: sa.Connection, own: VersionedTables, where: str) -> bool:
    """Return whether the tables exist; raise if they belong to another program or version."""
    version = _columns(connection, own.version)
    content = {each: _columns(connection, each) for each in own.content}
    existing = [each for each, columns in content.items() if columns is not None]
    if version is None and not existing:
        return False
    if version is None or "version" not in version:
        raise _foreign(where, existing[0].name if version is None else own.version.name)
    found = list(connection.scalars(sa.select(own.version.c.version)))
    if found != [own.number]:
        listing = ", ".join(map(str, found)) or "none"
        raise StoreUnreadableError(
            f"{where}: the table {own.version.name} has version {listing}, but this version of "
            f"grantway needs {own.number}; nothing was changed. Use the version of grantway that "
            "created the table, or give the store another prefix."
        )
    for table, columns in content.items():
        if columns is None or not columns >= set(table.columns.keys()):
            raise _foreign(where, table.name)
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


def _create(connection: sa.Connection, own: VersionedTables, where: str) -> None:
    sqlite = connection.dialect.name == "sqlite"
    # The connection is in autocommit mode, so the transaction needs explicit statements.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if sqlite else "BEGIN")
    try:
        lock_schema(connection)
        if not _exist(connection, own, where):
            own.version.metadata.create_all(connection, checkfirst=False)
            connection.execute(sa.insert(own.version), {"version": own.number})
        connection.exec_driver_sql("COMMIT")
    except BaseException:
        connection.invalidate()
        raise
