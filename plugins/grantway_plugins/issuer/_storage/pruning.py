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
#: Maximum number of rows that one call of ``prune`` deletes from a table, so that it does not delay
#: requests.
PRUNE_LIMIT = 2000


def _expired(table: sa.Table) -> Prepared:
    key = tuple(table.primary_key)
    expired = sa.select(*key).where(table.c.expires_at < bindparam("before")).limit(PRUNE_LIMIT)
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
_EXPIRED_FAMILIES = Prepared(
    sa.select(families.c.family_id)
    .where(
        sa.or_(
            families.c.expires_at < bindparam("before"), families.c.revoked_at < bindparam("before")
        )
    )
    .limit(PRUNE_LIMIT)
)
_DELETE_FAMILY = Prepared(sa.delete(families).where(families.c.family_id == bindparam("id")))
_DELETE_REFRESH_TOKENS = Prepared(
    sa.delete(refresh_tokens).where(
        refresh_tokens.c.digest.in_(
            sa.select(refresh_tokens.c.digest)
            .where(refresh_tokens.c.digest.between(bindparam("low"), bindparam("high")))
            .limit(bindparam("limit", type_=sa.Integer()))
        )
    )
)


def prune_rows(cursor: Cursor, now: float) -> int:
    """Delete rows that expired more than ``RETENTION`` seconds ago.

    Expired access tokens, records of plugins, sessions, consents and signing keys are deleted at
    once. Every table loses at most ``PRUNE_LIMIT`` rows.

    Args:
        cursor: The transaction's cursor.
        now: Seconds since the epoch.

    Returns:
        Number of deleted rows.
    """
    deleted = sum(
        cursor.change(statement, {"before": now if table in _NOT_RETAINED else now - RETENTION})
        for table, statement in _PRUNE.items()
    )
    left = PRUNE_LIMIT
    for (family_id,) in cursor.rows(_EXPIRED_FAMILIES, {"before": now - RETENTION}):
        low, high = digests_of_family(family_id)
        tokens = cursor.change(_DELETE_REFRESH_TOKENS, {"low": low, "high": high, "limit": left})
        deleted += tokens
        left -= tokens
        if not left:
            break  # the family may have tokens left, so it is deleted in a later call
        deleted += cursor.change(_DELETE_FAMILY, {"id": family_id})
    return deleted
