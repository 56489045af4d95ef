"""Create the tables, check their version, and upgrade those of an earlier version.

Everything happens in one transaction, so an interrupted upgrade leaves the database as it was, and
the next start repeats it. New databases are created without Alembic, which takes 0.4 seconds to
import.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable

import sqlalchemy as sa

from grantway_plugins._sql.engine import lock_schema

from . import tables
from .errors import DatabaseForeignError

#: Oldest version that can be upgraded.
OLDEST_VERSION = 5
#: Milliseconds that an upgrade waits for a PostgreSQL table that another transaction uses. Requests
#: wait as long.
LOCK_TIMEOUT = 2000

_log = logging.getLogger("grantway.issuer")


def make_or_upgrade_schema(
    connection: sa.Connection, name: str, keep_copy: Callable[[int], None] | None
) -> None:
    """Create the tables, or upgrade them to this version.

    Args:
        connection: A connection with an open transaction. On SQLite, it has locked the database.
        name: Name of the database, for errors.
        keep_copy: Called with the version of an older database before it is changed, or None.

    Raises:
        DatabaseForeignError: The database is of another program or of a version that cannot be
            upgraded. Nothing was changed.
    """
    lock_schema(connection)
    existing = set(sa.inspect(connection).get_table_names())
    if tables.schema.name in existing:
        version = check_version(list(connection.scalars(sa.select(tables.schema.c.version))), name)
        if version < tables.SCHEMA_VERSION:
            if keep_copy is not None:
                keep_copy(version)
            _upgrade(connection, version)
    elif foreign := existing & tables.metadata.tables.keys():
        raise DatabaseForeignError(
            f"{name} has tables of another program ({', '.join(sorted(foreign))}); nothing was "
            "changed. Use another database"
        )
    else:
        tables.metadata.create_all(connection, checkfirst=False)
        connection.execute(tables.schema.insert(), {"version": tables.SCHEMA_VERSION})
    if connection.scalar(sa.select(sa.func.count()).select_from(tables.form_key)) == 0:
        connection.execute(tables.form_key.insert(), {"key": secrets.token_bytes(32)})


def needs_upgrade(version: int | None) -> bool:
    """Return whether a database of this version has to be upgraded; None is a new one."""
    return version is not None and version < tables.SCHEMA_VERSION


def check_version(versions: list[int], name: str) -> int:
    """Return the version of a database that this issuer can use or upgrade.

    Args:
        versions: Rows of the table with the version.
        name: Name of the database, for errors.

    Raises:
        DatabaseForeignError: It is newer, or too old.
    """
    if len(versions) == 1 and OLDEST_VERSION <= versions[0] <= tables.SCHEMA_VERSION:
        return versions[0]
    listing = ", ".join(str(version) for version in versions) or "none"
    raise DatabaseForeignError(
        f"{name} has schema version {listing} and this issuer needs {tables.SCHEMA_VERSION}; "
        "nothing was changed. Use the version that created it, or another file"
    )


def _upgrade(connection: sa.Connection, version: int) -> None:
    """Run the migrations from a version to this one."""
    from alembic.operations import (  # noqa: PLC0415 - slow to import, and rarely needed
        Operations,
    )
    from alembic.runtime.migration import MigrationContext  # noqa: PLC0415

    from .migrations import MIGRATIONS  # noqa: PLC0415

    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT}")
    operations = Operations(MigrationContext.configure(connection))
    for number in range(version + 1, tables.SCHEMA_VERSION + 1):
        MIGRATIONS[number](operations)
    connection.execute(tables.schema.update(), {"version": tables.SCHEMA_VERSION})
    _log.warning(
        "Upgraded the database from schema version %d to %d", version, tables.SCHEMA_VERSION
    )
