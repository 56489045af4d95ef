"""The tables of a store."""

from __future__ import annotations

import sqlalchemy as sa

from grantway_plugins._sql.versioned_tables import VersionedTables, check_prefix, version_table

#: Version of the tables. Increase it with every change of a table.
VERSION = 1


def tables(prefix: str) -> VersionedTables:
    """Return the tables of a store with a prefix.

    ``PREFIXtokens`` has one row per key, with times in milliseconds of the database's clock:

    - ``key``: SHA-256 of the key, so that any text works in any collation;
    - ``record``: the token record, or NULL;
    - ``fence``: the fence of the last lease;
    - ``changed``: the fence of the last save or delete, or 0;
    - ``owner``, ``held_until``: the lease, or NULL;
    - ``forget_at``: the time when the row can be removed, or NULL for never.

    Raises:
        ConfigurationError: The prefix is not valid in every database.
    """
    check_prefix(prefix)
    metadata = sa.MetaData()
    # PostgreSQL's INTEGER has only 32 bits.
    number = sa.BigInteger()
    tokens = sa.Table(
        f"{prefix}tokens",
        metadata,
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("record", sa.LargeBinary),
        sa.Column("fence", number, nullable=False),
        sa.Column("changed", number, nullable=False),
        sa.Column("owner", sa.String(32)),
        sa.Column("held_until", number),
        sa.Column("forget_at", number, index=True),
    )
    return VersionedTables(version_table(f"{prefix}version", metadata), (tokens,), VERSION)
