"""Delete expired rows, in steps that do not delay requests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam

from grantway_plugins.issuer._decisions.randomness import digests_of_family

from .prepared import Cursor, Prepared
from .tables import (
    access_tokens,
    authorization_codes,
    clients,
    consents,
    device_codes,
    families,
    plugin_records,
    refresh_tokens,
    sessions,
    signing_keys,
)

#: Retention of used and expired rows, in seconds. It lets the issuer tell a replay from an unknown
#: code.
RETENTION = 86_400.0
#: Bounds of the number of rows that one step deletes from a table.
FEWEST, MOST = 100, 2000
#: Time that the deletions of a step should take, in seconds. Requests wait as long.
STEP_SECONDS = 0.004
#: Pause after a step, as a multiple of its duration: while there are requests, and without any.
BUSY_PAUSE, IDLE_PAUSE = 4.0, 0.5
#: Seconds between two prunings.
PRUNE_INTERVAL = 60.0

_LIMIT = bindparam("limit", type_=sa.Integer())


def _ended(ended: sa.Column[Any]) -> Prepared:
    """Return the query for the keys of rows whose time is over, and the time.

    Rows are read and then deleted by their keys, and they are read in the order of the index:
    PostgreSQL's plans for one statement without known values read the whole table.
    """
    return Prepared(
        sa.select(*ended.table.primary_key, ended)
        .where(ended >= bindparam("after"), ended < bindparam("before"))
        .order_by(ended)
        .limit(_LIMIT)
        # Issuers that share the database skip the rows that another one deletes.
        .with_for_update(skip_locked=True)
    )


def _delete(table: sa.FromClause) -> Prepared:
    assert isinstance(table, sa.Table)
    return Prepared(
        sa.delete(table).where(*(each == bindparam(each.name) for each in table.primary_key))
    )


_EXPIRED = {
    table.c.expires_at: _ended(table.c.expires_at)
    for table in (
        access_tokens,
        authorization_codes,
        device_codes,
        clients,
        plugin_records,
        sessions,
        consents,
        signing_keys,
    )
}
_NOT_RETAINED = frozenset({access_tokens, plugin_records, sessions, consents, signing_keys})
_ENDED_FAMILIES = {ended: _ended(ended) for ended in (families.c.expires_at, families.c.revoked_at)}
_REFRESH_TOKENS = Prepared(
    sa.select(refresh_tokens.c.digest)
    .where(refresh_tokens.c.digest.between(bindparam("low"), bindparam("high")))
    .order_by(refresh_tokens.c.digest)
    .limit(_LIMIT)
)
_DELETE: dict[sa.FromClause, Prepared] = {
    each.table: _delete(each.table)
    for each in (*_EXPIRED, families.c.family_id, refresh_tokens.c.digest)
}


def _from_the_start() -> dict[sa.Column[Any], float]:
    return dict.fromkeys((*_EXPIRED, *_ENDED_FAMILIES), 0.0)


@dataclass
class Pruning:
    """The state of a pruning, which takes several steps.

    Attributes:
        limit: Maximum number of rows that the next step deletes from a table.
        left: The times by which rows end, without those of which no row is left, and the latest
            time of a deleted row. PostgreSQL keeps deleted rows in its indexes for a while, and
            reading them again and again takes long.
    """

    limit: int = FEWEST
    left: dict[sa.Column[Any], float] = field(default_factory=_from_the_start)

    def pause(self, deleting: float, committing: float, *, busy: bool) -> float:
        """Return the seconds until the next step, and adjust its size.

        Args:
            deleting: Duration of the deletions of the last step, in seconds.
            committing: Duration of the commit, in seconds. It hardly depends on the size.
            busy: Whether there were requests since the step before.
        """
        if not self.left:
            return self.restart()
        factor = min(2.0, STEP_SECONDS / max(deleting, 1e-6))
        self.limit = min(MOST, max(FEWEST, int(self.limit * factor)))
        return (BUSY_PAUSE if busy else IDLE_PAUSE) * (deleting + committing)

    def restart(self) -> float:
        """Return the seconds until the next pruning, after the last step or a failed one."""
        self.left = _from_the_start()
        return PRUNE_INTERVAL


def prune_rows(cursor: Cursor, now: float, pruning: Pruning) -> int:
    """Delete rows that expired more than ``RETENTION`` seconds ago.

    Expired access tokens, records of plugins, sessions, consents and signing keys are deleted at
    once.

    Args:
        cursor: The transaction's cursor.
        now: Seconds since the epoch.
        pruning: The state, which is changed.

    Returns:
        Number of deleted rows.
    """
    deleted = 0
    for ended, after in list(pruning.left.items()):
        table = ended.table
        values = {
            "after": after,
            "before": now if table in _NOT_RETAINED else now - RETENTION,
            "limit": pruning.limit,
        }
        if table is families:
            deleted += _prune_families(cursor, ended, values, pruning)
            continue
        rows = cursor.rows(_EXPIRED[ended], values)
        _delete_all(cursor, table, rows)
        deleted += len(rows)
        pruning.left[ended] = rows[-1][-1] if rows else after
        if len(rows) < pruning.limit:
            del pruning.left[ended]
    return deleted


def _prune_families(
    cursor: Cursor, ended: sa.Column[Any], values: dict[str, Any], pruning: Pruning
) -> int:
    """Delete families and their refresh tokens, and return the number of rows."""
    tokens: list[Any] = []
    emptied: list[Any] = []
    rows = cursor.rows(_ENDED_FAMILIES[ended], values)
    for family_id, time in rows:
        low, high = digests_of_family(family_id)
        room = pruning.limit - len(tokens)
        tokens += cursor.rows(_REFRESH_TOKENS, {"low": low, "high": high, "limit": room})
        if len(tokens) == pruning.limit:
            break  # the family may have tokens left, so a later step deletes it
        pruning.left[ended] = time
        emptied.append((family_id,))
    _delete_all(cursor, refresh_tokens, tokens)
    _delete_all(cursor, families, emptied)
    if len(emptied) == len(rows) < pruning.limit:
        del pruning.left[ended]
    return len(tokens) + len(emptied)


def _delete_all(cursor: Cursor, table: sa.FromClause, rows: list[Any]) -> None:
    """Delete rows by their primary keys, with which each of ``rows`` begins."""
    if rows:
        names = [each.name for each in table.primary_key]
        cursor.change_all(_DELETE[table], [dict(zip(names, row, strict=False)) for row in rows])
