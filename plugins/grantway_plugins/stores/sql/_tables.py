"""The two tables of a store: made where they are not there, and known where they are."""

from __future__ import annotations

import re
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.exc import NoSuchTableError

from grantway._exceptions import ConfigurationError, StoreUnreadableError

#: Raised with every change of a table.
VERSION = 1

#: Any number that is the same in every process: who makes tables in PostgreSQL waits for it.
_MAKING = 0x6772616E74776179

_PREFIX = re.compile(r"[a-z_][a-z0-9_]{0,39}")


@dataclass(frozen=True)
class Tables:
    """The tables of one prefix.

    Attributes:
        version: One row: the version of the tables.
        tokens: One row a key, its times in milliseconds of the database's clock:

            - ``key``: the SHA-256 of the key, so that any text can be one, in any collation;
            - ``record``: the token, or NULL;
            - ``fence``: the number that the last lease was given;
            - ``changed``: the fence of the last holder that saved or deleted, or 0;
            - ``owner``, ``held_until``: the lease, or NULL;
            - ``forget_at``: when nothing of it is needed any more, or NULL.
    """

    version: sa.Table
    tokens: sa.Table


def tables(prefix: str) -> Tables:
    """The tables whose names begin with this.

    Raises:
        ConfigurationError: no name can begin with it in every database.
    """
    if not _PREFIX.fullmatch(prefix):
        rule = "must be at most 40 lower-case letters, digits and _, and begin with no digit"
        raise ConfigurationError(f"prefix: {rule}.", errors={"prefix": [rule]})
    metadata = sa.MetaData()
    # SQLite's INTEGER holds 64 bits, and PostgreSQL's does not.
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


def make_or_check(engine: sa.Engine, own: Tables, where: str) -> None:
    """Make the tables, unless they are there; any number of processes may do so at once.

    Raises:
        StoreUnreadableError: tables of these names are of something else, or of another version.
        sqlalchemy.exc.SQLAlchemyError: the database failed.
    """
    with engine.connect() as connection:
        try:
            ready = _there(connection, own, where)
        except StoreUnreadableError:
            # Or another process makes them between two of its questions: asked again alone.
            ready = False
        if not ready:
            _make(connection, own, where)


def _there(connection: sa.Connection, own: Tables, where: str) -> bool:
    """Whether the tables are there, and ours."""
    version, tokens = _columns(connection, own.version), _columns(connection, own.tokens)
    if version is None and tokens is None:
        return False
    if version is None or "version" not in version:
        raise _foreign(where, own.tokens.name if version is None else own.version.name)
    found = list(connection.scalars(sa.select(own.version.c.version)))
    if found != [VERSION]:
        listing = ", ".join(map(str, found)) or "none"
        raise StoreUnreadableError(
            f"{where}: the table {own.version.name} says version {listing}, and this grantway "
            f"needs {VERSION}; nothing was changed. Use the version that made it, or give the "
            "store another prefix."
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
        f"{where}: the table {name} is missing, damaged or of something else; nothing was "
        "changed. Give the store another prefix, or another database."
    )


def _make(connection: sa.Connection, own: Tables, where: str) -> None:
    sqlite = connection.dialect.name == "sqlite"
    # The connection commits each statement by itself, so the transaction is spelt out.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if sqlite else "BEGIN")
    try:
        if not sqlite:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MAKING)))
        if not _there(connection, own, where):
            own.tokens.metadata.create_all(connection, checkfirst=False)
            connection.execute(sa.insert(own.version), {"version": VERSION})
        connection.exec_driver_sql("COMMIT")
    except BaseException:
        connection.invalidate()
        raise
