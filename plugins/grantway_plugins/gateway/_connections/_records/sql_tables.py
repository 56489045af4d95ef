"""The tables of the records."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from grantway_plugins._sql.versioned_tables import VersionedTables, check_prefix, version_table

#: Version of the tables. Increase it with every change of a table.
VERSION = 1
#: A literal, because databases do not use a partial index for a parameter.
CONNECTED: sa.ColumnElement[str] = sa.literal_column("'connected'")


@dataclass(frozen=True)
class RecordTables:
    """The tables with one prefix. Times are in seconds since the epoch.

    Attributes:
        all: All of them, with their version.
        connections: One row per connection; see ``Connection``.
        jobs: One row per unfinished job; see ``Job``.
        values: Short-lived values. ``key`` is the SHA-256 of the key, so that any text works.
        events: The audit trail; see ``ConnectionEvent``.
    """

    all: VersionedTables
    connections: sa.Table
    jobs: sa.Table
    values: sa.Table
    events: sa.Table


def record_tables(prefix: str) -> RecordTables:
    """Return the tables with a prefix.

    Raises:
        ConfigurationError: The prefix is not valid in every database.
    """
    check_prefix(prefix)
    metadata = sa.MetaData()
    # Sorted by code points, as in Python and in Redis.
    name = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    time: sa.Double[float] = sa.Double()
    text, number = sa.Text(), sa.BigInteger()
    connections = sa.Table(
        f"{prefix}connections",
        metadata,
        sa.Column("user_id", name, primary_key=True),
        sa.Column("provider", name, primary_key=True),
        sa.Column("state", text, nullable=False),
        sa.Column("connected_at", time, nullable=False),
        sa.Column("refreshed_at", time, nullable=False),
        sa.Column("used_at", time),
        sa.Column("due_at", time, nullable=False),
        sa.Column("details", text, nullable=False),
        sa.Column("version", number, nullable=False),
    )
    working = connections.c.state == CONNECTED
    sa.Index(
        f"{prefix}connections_due",
        connections.c.due_at,
        postgresql_where=working,
        sqlite_where=working,
    )
    jobs = sa.Table(
        f"{prefix}jobs",
        metadata,
        sa.Column("id", name, primary_key=True),
        sa.Column("due_at", time, nullable=False, index=True),
        sa.Column("payload", text, nullable=False),
        sa.Column("attempts", number, nullable=False),
    )
    values = sa.Table(
        f"{prefix}values",
        metadata,
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("value", text, nullable=False),
        sa.Column("expires_at", time, nullable=False, index=True),
    )
    events = sa.Table(
        f"{prefix}events",
        metadata,
        sa.Column("id", name, primary_key=True),
        sa.Column("user_id", name, nullable=False),
        sa.Column("provider", name, nullable=False),
        sa.Column("name", text, nullable=False),
        sa.Column("at", time, nullable=False, index=True),
        sa.Column("reason", text, nullable=False),
        sa.Column("count", number, nullable=False),
    )
    sa.Index(f"{prefix}events_of_user", events.c.user_id, events.c.at, events.c.id)
    content = (connections, jobs, values, events)
    version = version_table(f"{prefix}connections_version", metadata)
    return RecordTables(VersionedTables(version, content, VERSION), *content)
