"""What the database does in one statement each: the lease of a key, and changes under its fence.

One statement is one step to SQLite and to PostgreSQL alike. A transaction of several would hold
the row for as long as a stopped process is stopped, past any lease. All times are the database's.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from grantway_plugins.stores._shared.lease import REMEMBERED

from ._tables import Tables


class Statements:
    """The statements on the tables of one store.

    Attributes:
        load: ``of`` (which key) -> the record.
        busy: ``of``, ``by`` (the owner) -> a row where another holds the lease.
        take: ``of``, ``by``, ``lease`` -> the fence, or no row where another holds it.
        renew: The same -> a row, unless it is another's by now.
        give_up: ``of``, ``by``.
        change: ``of``, ``kept`` (the record, or None to delete), ``given`` (the fence), ``life``
            or None -> a row, unless a later holder has changed it.
        forget: Removes the rows of which nothing is needed any more.

    Times are in milliseconds.
    """

    def __init__(self, own: Tables, dialect: str) -> None:
        table = own.tokens
        row = table.c
        lite = dialect == "sqlite"
        insert: Any = sqlite.insert if lite else postgresql.insert
        greatest = sa.func.max if lite else sa.func.greatest
        now = _sqlite_now() if lite else _postgres_now()
        remembered = _number("remembered", int(REMEMBERED * 1000))
        key = sa.bindparam("of", type_=sa.String)
        owner = sa.bindparam("by", type_=sa.String)
        lease = _number("lease")
        given = _number("given")
        mine = sa.and_(row.key == key, row.owner == owner)
        outlast = now + lease + remembered

        self.load = sa.select(row.record).where(
            row.key == key, sa.or_(row.forget_at.is_(None), row.forget_at > now)
        )
        self.busy = sa.select(row.key).where(
            row.key == key, row.owner != owner, row.held_until > now
        )
        self.take = (
            insert(table)
            .values(
                key=key,
                fence=now,
                changed=0,
                owner=owner,
                held_until=now + lease,
                forget_at=outlast,
            )
            .on_conflict_do_update(
                index_elements=[row.key],
                set_={
                    "fence": greatest(now, row.fence + 1),
                    "owner": owner,
                    "held_until": now + lease,
                    "forget_at": _put_off(row.forget_at, outlast),
                },
                where=sa.or_(row.owner.is_(None), row.owner == owner, row.held_until <= now),
            )
            .returning(row.fence)
        )
        self.renew = (
            sa.update(table)
            .where(mine)
            .values(held_until=now + lease, forget_at=_put_off(row.forget_at, outlast))
            .returning(row.key)
        )
        self.give_up = sa.update(table).where(mine).values(owner=None, held_until=None)

        fresh = sa.or_(given == 0, given >= now - remembered)
        known = sa.exists().where(row.key == key)
        change = insert(table).from_select(
            ["key", "record", "fence", "changed", "forget_at"],
            sa.select(
                key,
                sa.bindparam("kept", type_=sa.LargeBinary),
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
        self.forget = sa.delete(table).where(row.forget_at <= now)


def _number(name: str, value: int | None = None) -> sa.BindParameter[int]:
    if value is None:
        return sa.bindparam(name, type_=sa.BigInteger)
    return sa.bindparam(name, value, type_=sa.BigInteger)


def _put_off(before: Any, to: Any) -> Any:
    """The later of two times; what is never forgotten stays so."""
    return sa.case((before < to, to), else_=before)


def _sqlite_now() -> Any:
    return sa.cast((sa.func.julianday("now") - 2440587.5) * 86400000.0, sa.BigInteger)


def _postgres_now() -> Any:
    # Not now(): that is when the transaction began, before any wait for the row.
    return sa.cast(sa.extract("epoch", sa.func.clock_timestamp()) * 1000, sa.BigInteger)
