"""SQL statements for leases, and for changes checked by their fence.

Each operation is a single, atomic statement. A transaction of several statements would lock the
row for as long as a process is suspended, beyond any lease. All times are the database's.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from grantway_plugins.stores._shared.lease import REMEMBERED


class Statements:
    """The statements on the tables of one store.

    Times are in milliseconds.

    Attributes:
        load: ``digest`` (of the key) -> the record.
        busy: ``digest``, ``owner_id`` -> a row if another owner holds the lease.
        acquire: ``digest``, ``owner_id``, ``lease`` -> the fence, or no row if another owner holds
            the lease.
        extend: The same parameters -> a row, or none if another owner holds the lease.
        release: ``digest``, ``owner_id`` -> nothing.
        change: ``digest``, ``new_record`` (None to delete), ``new_fence``, ``life`` (or None) -> a
            row, or none if a later holder has saved or deleted.
        remove_expired: No parameters -> nothing. Removes rows past their ``forget_at``.
    """

    def __init__(self, table: sa.Table, dialect: str) -> None:
        row = table.c
        lite = dialect == "sqlite"
        insert: Any = sqlite.insert if lite else postgresql.insert
        greatest = sa.func.max if lite else sa.func.greatest
        now = _sqlite_now() if lite else _postgres_now()
        remembered = _number("remembered", int(REMEMBERED * 1000))
        key = sa.bindparam("digest", type_=sa.String)
        owner = sa.bindparam("owner_id", type_=sa.String)
        lease = _number("lease")
        given = _number("new_fence")
        mine = sa.and_(row.key == key, row.owner == owner)
        forget_at = now + lease + remembered

        self.load = sa.select(row.record).where(
            row.key == key, sa.or_(row.forget_at.is_(None), row.forget_at > now)
        )
        self.busy = sa.select(row.key).where(
            row.key == key, row.owner != owner, row.held_until > now
        )
        self.acquire = (
            insert(table)
            .values(
                key=key,
                fence=now,
                changed=0,
                owner=owner,
                held_until=now + lease,
                forget_at=forget_at,
            )
            .on_conflict_do_update(
                index_elements=[row.key],
                set_={
                    "fence": greatest(now, row.fence + 1),
                    "owner": owner,
                    "held_until": now + lease,
                    "forget_at": _later(row.forget_at, forget_at),
                },
                where=sa.or_(row.owner.is_(None), row.owner == owner, row.held_until <= now),
            )
            .returning(row.fence)
        )
        self.extend = (
            sa.update(table)
            .where(mine)
            .values(held_until=now + lease, forget_at=_later(row.forget_at, forget_at))
            .returning(row.key)
        )
        self.release = sa.update(table).where(mine).values(owner=None, held_until=None)

        fresh = sa.or_(given == 0, given >= now - remembered)
        known = sa.exists().where(row.key == key)
        change = insert(table).from_select(
            ["key", "record", "fence", "changed", "forget_at"],
            sa.select(
                key,
                sa.bindparam("new_record", type_=sa.LargeBinary),
                given,
                given,
                now + _number("life"),
            ).where(sa.or_(fresh, known)),
        )
        self.change = change.on_conflict_do_update(
            index_elements=[row.key],
            set_={
                "record": change.excluded.record,
                "fence": greatest(row.fence, change.excluded.fence),
                "changed": greatest(row.changed, change.excluded.changed),
                "forget_at": change.excluded.forget_at,
            },
            where=sa.or_(
                given == 0,
                sa.and_(row.changed <= given, sa.or_(row.changed > 0, row.fence == given, fresh)),
            ),
        ).returning(row.key)
        self.remove_expired = sa.delete(table).where(row.forget_at <= now)


def _number(name: str, value: int | None = None) -> sa.BindParameter[int]:
    if value is None:
        return sa.bindparam(name, type_=sa.BigInteger)
    return sa.bindparam(name, value, type_=sa.BigInteger)


def _later(current: Any, new: Any) -> Any:
    """Return the later of two times, where a current time of NULL means never."""
    return sa.case((current < new, new), else_=current)


def _sqlite_now() -> Any:
    return sa.cast((sa.func.julianday("now") - 2440587.5) * 86400000.0, sa.BigInteger)


def _postgres_now() -> Any:
    # Not now(), which is the start of the transaction, before any wait for the row.
    return sa.cast(sa.extract("epoch", sa.func.clock_timestamp()) * 1000, sa.BigInteger)
