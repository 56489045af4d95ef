"""SQL statements of the records. All of them are idempotent, apart from what they return."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from .sql_tables import CONNECTED, RecordTables

#: Most rows that one statement removes.
STEP = 1000


class RecordStatements:
    """The statements on the tables with one prefix.

    Parameters have the names of columns, with ``new_`` if a statement also compares them. A
    statement that saves returns a row if it has saved.
    """

    def __init__(self, own: RecordTables, dialect: str) -> None:
        self._lite = dialect == "sqlite"
        connections, jobs, values, events = own.all.content
        row = connections.c
        this = sa.and_(row.user_id == _given(row.user_id), row.provider == _given(row.provider))
        after = sa.tuple_(_given(row.user_id), _given(row.provider))

        self.connection = sa.select(connections).where(this)
        self.connections = (
            sa.select(connections).where(row.user_id == _given(row.user_id)).order_by(row.provider)
        )
        self.page = (
            sa.select(connections)
            .where(sa.tuple_(row.user_id, row.provider) > after)
            .order_by(row.user_id, row.provider)
            .limit(_limit())
        )
        self.counts = sa.select(row.provider, row.state, sa.func.count()).group_by(
            row.provider, row.state
        )
        self.put = self._upsert(connections, row.version).returning(row.user_id)
        self.change = (
            sa.update(connections)
            .where(this, row.version == _given(row.version))
            .values({each.name: _new(each) for each in connections.c if not each.primary_key})
            .returning(row.user_id)
        )
        self.remove = sa.delete(connections).where(this).returning(row.user_id)
        self.claim_due = (
            self._claim(connections, row.state == CONNECTED)
            .values(due_at=_new(row.due_at), version=_new(row.version))
            .returning(*row)
        )

        self.schedule = self._upsert(jobs)
        self.claim_jobs = (
            self._claim(jobs)
            .values(due_at=_new(jobs.c.due_at), attempts=jobs.c.attempts + 1)
            .returning(*jobs.c)
        )
        self.finish = sa.delete(jobs).where(jobs.c.id == _given(jobs.c.id))

        this_key = values.c.key == _given(values.c.key)
        self.keep = self._upsert(values)
        self.kept = sa.select(values.c.value).where(
            this_key, values.c.expires_at > _given(values.c.expires_at)
        )
        self.take = sa.delete(values).where(this_key).returning(values.c.value, values.c.expires_at)
        self.remove_values = self._remove_old(values.c.expires_at, values.c.key, or_equal=True)

        self.record = self._insert(events).on_conflict_do_nothing(index_elements=[events.c.id])
        self.history = (
            sa.select(*(each for each in events.c if each.name != "id"))
            .where(events.c.user_id == _given(events.c.user_id))
            .order_by(events.c.at.desc(), events.c.id.desc())
            .limit(_limit())
        )
        self.remove_events = self._remove_old(events.c.at, events.c.id, or_equal=False)
        #: Returns a row, and begins a transaction with other statements.
        self.begin = sa.select(sa.literal(1))

    def _insert(self, table: sa.Table) -> Any:
        return (sqlite.insert if self._lite else postgresql.insert)(table)

    def _upsert(self, table: sa.Table, version: Any = None) -> Any:
        """Return an insertion or replacement.

        Args:
            table: The table.
            version: Column with the version. If it has the new one, the response to this statement
                was lost; then it changes and returns nothing.
        """
        insert = self._insert(table)
        changed = {
            each.name: insert.excluded[each.name] for each in table.c if not each.primary_key
        }
        another = None if version is None else version != insert.excluded[version.name]
        return insert.on_conflict_do_update(
            index_elements=list(table.primary_key), set_=changed, where=another
        )

    def _claim(self, table: sa.Table, *conditions: Any) -> Any:
        """Return an update of the rows that are due first, except those being claimed now."""
        key = tuple(table.primary_key)
        due_at = table.c.due_at
        due = self._chosen(
            sa.select(*key).where(due_at <= _given(due_at), *conditions).order_by(due_at)
        )
        return sa.update(table).where(_among(key, due))

    def _remove_old(self, time: Any, key: Any, *, or_equal: bool) -> Any:
        """Return a deletion of some rows whose time is before the parameter of its name."""
        old = time <= _given(time) if or_equal else time < _given(time)
        chosen = self._chosen(sa.select(key).where(old).order_by(time))
        return sa.delete(time.table).where(_among((key,), chosen)).returning(key)

    def _chosen(self, query: Any) -> Any:
        """Return some rows, which other gateways skip meanwhile.

        A common table expression, because PostgreSQL may run a subquery several times, and would
        lock other rows each time.
        """
        limited = query.limit(_limit()).with_for_update(skip_locked=True).cte("chosen")
        return limited if self._lite else limited.prefix_with("MATERIALIZED")


def _given(column: Any) -> sa.BindParameter[Any]:
    return sa.bindparam(f"given_{column.name}", type_=column.type)


def _new(column: Any) -> sa.BindParameter[Any]:
    return sa.bindparam(f"new_{column.name}", type_=column.type)


def _limit() -> sa.BindParameter[int]:
    return sa.bindparam("most", type_=sa.BigInteger)


def _among(key: tuple[Any, ...], chosen: Any) -> Any:
    left = key[0] if len(key) == 1 else sa.tuple_(*key)
    return left.in_(sa.select(*chosen.c))
