"""Delete expired rows."""

from __future__ import annotations

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
FEWEST, MOST = 10, 2000
#: Time that the deletions of a step should take, in seconds. Requests wait as long.
STEP_SECONDS = 0.004
#: Pause after a step, as a multiple of its duration, which leaves the rest of the time to requests.
PAUSE = 3.0
#: Seconds between two prunings.
PRUNE_INTERVAL = 60.0

_LIMIT = bindparam("limit", type_=sa.Integer())


def _expired(table: sa.Table) -> Prepared:
    key = tuple(table.primary_key)
    # The order makes PostgreSQL use the index. Issuers that share it skip each other's rows.
    expired = (
        sa.select(*key)
        .where(table.c.expires_at < bindparam("before"))
        .order_by(table.c.expires_at)
        .limit(_LIMIT)
        .with_for_update(skip_locked=True)
    )
    row = key[0] if len(key) == 1 else sa.tuple_(*key)
    return Prepared(sa.delete(table).where(row.in_(expired)))


_PRUNE = {
    table: _expired(table)
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
#: Two statements, because PostgreSQL would read all expired rows for a condition with OR.
_ENDED_FAMILIES = tuple(
    Prepared(
        sa.select(families.c.family_id)
        .where(ended < bindparam("before"))
        .order_by(ended)
        .limit(_LIMIT)
        .with_for_update(skip_locked=True)
    )
    for ended in (families.c.expires_at, families.c.revoked_at)
)
_DELETE_FAMILY = Prepared(sa.delete(families).where(families.c.family_id == bindparam("id")))
_DELETE_REFRESH_TOKENS = Prepared(
    sa.delete(refresh_tokens).where(
        refresh_tokens.c.digest.in_(
            sa.select(refresh_tokens.c.digest)
            .where(refresh_tokens.c.digest.between(bindparam("low"), bindparam("high")))
            .limit(_LIMIT)
        )
    )
)


class PruningPace:
    """Chooses the size of the steps and the pauses between them, so that requests do not wait.

    Attributes:
        limit: Maximum number of rows that the next step deletes from a table.
    """

    def __init__(self) -> None:
        self.limit = FEWEST

    def pause(self, deleted: int, deleting: float, committing: float) -> float:
        """Return the seconds until the next step, and adjust its size.

        Args:
            deleted: Number of rows that a step deleted.
            deleting: Duration of the deletions, in seconds.
            committing: Duration of the commit, in seconds. It hardly depends on the size.
        """
        if deleted < self.limit:
            return PRUNE_INTERVAL
        factor = min(2.0, STEP_SECONDS / max(deleting, 1e-6))
        self.limit = min(MOST, max(FEWEST, int(self.limit * factor)))
        return PAUSE * (deleting + committing)


def prune_rows(cursor: Cursor, now: float, limit: int = MOST) -> int:
    """Delete rows that expired more than ``RETENTION`` seconds ago.

    Expired access tokens, records of plugins, sessions, consents and signing keys are deleted at
    once.

    Args:
        cursor: The transaction's cursor.
        now: Seconds since the epoch.
        limit: Maximum number of rows to delete from each table.

    Returns:
        Number of deleted rows.
    """
    deleted = sum(
        cursor.change(
            statement,
            {"before": now if table in _NOT_RETAINED else now - RETENTION, "limit": limit},
        )
        for table, statement in _PRUNE.items()
    )
    left = limit
    for ended in _ENDED_FAMILIES:
        for (family_id,) in cursor.rows(ended, {"before": now - RETENTION, "limit": left}):
            low, high = digests_of_family(family_id)
            tokens = cursor.change(
                _DELETE_REFRESH_TOKENS, {"low": low, "high": high, "limit": left}
            )
            deleted += tokens
            left -= tokens
            if not left:
                return deleted  # the family may have tokens left; a later step deletes it
            deleted += cursor.change(_DELETE_FAMILY, {"id": family_id})
    return deleted
