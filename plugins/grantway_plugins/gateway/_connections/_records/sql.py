"""Records of connections in an SQLite file or a PostgreSQL database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from grantway._exceptions import StoreError, StoreUnreadableError
from grantway._processes.copies import OneProcess
from grantway._secrets.masked import Masked
from grantway_plugins._sql.database import Database, Statement
from grantway_plugins.gateway._connections.connection import Connection, ConnectionEvent
from grantway_plugins.gateway._connections.records import Job

from .identifiers import event_ids, new_version
from .sql_statements import STEP, RecordStatements
from .sql_tables import record_tables


class SqlRecords(OneProcess):
    """Keeps the records in five tables, which are created on first use.

    A saved change is on the database's disk, as in ``SqlStore``.

    Args:
        url: As for ``SqlStore``.
        prefix: Prefix of the names of tables.
        options: Other arguments of ``Database``.

    Raises:
        ConfigurationError: An option is invalid. The constructor does not connect.
    """

    def __init__(self, url: str, *, prefix: str = "grantway_store_", **options: Any) -> None:
        address = Masked(url)
        del url  # error reports that print the locals of each frame would reveal the password
        self._where, self._prefix = "not open", prefix
        tables = record_tables(prefix)
        self._database = Database(address, tables=tables.all, **options)
        self._where = self._database.where
        self._statements = RecordStatements(tables, self._database.engine.dialect.name)

    async def connection(self, user: str, provider: str) -> Connection | None:
        """See ``ConnectionRecords``."""
        rows = await self._read(self._statements.connection, **_key(user, provider))
        return Connection(*rows[0]) if rows else None

    async def connections(self, user: str) -> Sequence[Connection]:
        """See ``ConnectionRecords``."""
        rows = await self._read(self._statements.connections, given_user_id=user)
        return [Connection(*row) for row in rows]

    async def page(self, after: str = "", limit: int = 100) -> Sequence[Connection]:
        """See ``ConnectionRecords``."""
        user, _, provider = after.partition(" ")
        rows = await self._read(self._statements.page, **_key(user, provider), most=limit)
        return [Connection(*row) for row in rows]

    async def counts(self) -> dict[tuple[str, str], int]:
        """See ``ConnectionRecords``."""
        rows = await self._read(self._statements.counts)
        return {(provider, state): number for provider, state, number in rows}

    async def put(
        self,
        connection: Connection,
        *,
        events: Sequence[ConnectionEvent] = (),
        jobs: Sequence[Job] = (),
    ) -> None:
        """See ``ConnectionRecords``."""
        values = {**_values(connection), "version": new_version()}
        await self._save(self._statements.put, values, events, jobs)

    async def change(
        self,
        connection: Connection,
        *,
        events: Sequence[ConnectionEvent] = (),
        jobs: Sequence[Job] = (),
    ) -> bool:
        """See ``ConnectionRecords``."""
        version = new_version()
        values = {
            **_key(connection.user, connection.provider),
            **{f"new_{name}": value for name, value in _values(connection).items()},
            "given_version": connection.version,
            "new_version": version,
        }
        if await self._save(self._statements.change, values, events, jobs):
            return True
        # The response to the statement may have been lost, so that it was sent again.
        saved = await self.connection(connection.user, connection.provider)
        return saved is not None and saved.version == version

    async def remove(
        self,
        user: str,
        provider: str,
        *,
        events: Sequence[ConnectionEvent] = (),
        jobs: Sequence[Job] = (),
    ) -> bool:
        """See ``ConnectionRecords``."""
        key = _key(user, provider)
        return bool(await self._save(self._statements.remove, key, events, jobs))

    async def claim_due(self, now: float, *, lease: float, limit: int) -> Sequence[Connection]:
        """See ``ConnectionRecords``."""
        claim = {"given_due_at": now, "new_due_at": now + lease, "most": limit}
        claim["new_version"] = new_version()
        rows = await self._save(self._statements.claim_due, claim)
        return [Connection(*row) for row in rows]

    async def schedule(self, job: Job) -> None:
        """See ``ConnectionRecords``."""
        await self._save(self._statements.schedule, _job(job))

    async def claim_jobs(self, now: float, *, lease: float, limit: int) -> Sequence[Job]:
        """See ``ConnectionRecords``."""
        claim = {"given_due_at": now, "new_due_at": now + lease, "most": limit}
        rows = await self._save(self._statements.claim_jobs, claim)
        return [Job(*row) for row in rows]

    async def finish(self, job_id: str) -> None:
        """See ``ConnectionRecords``."""
        await self._save(self._statements.finish, {"given_id": job_id})

    async def keep(self, key: str, value: str, expires_at: float) -> None:
        """See ``ConnectionRecords``."""
        values = {"key": _digest(key), "value": value, "expires_at": expires_at}
        await self._save(self._statements.keep, values)

    async def kept(self, key: str, now: float) -> str | None:
        """See ``ConnectionRecords``."""
        rows = await self._read(self._statements.kept, given_key=_digest(key), given_expires_at=now)
        return rows[0][0] if rows else None

    async def take(self, key: str, now: float) -> str | None:
        """See ``ConnectionRecords``."""
        rows = await self._save(self._statements.take, {"given_key": _digest(key)})
        return next((value for value, expires_at in rows if now < expires_at), None)

    async def record(self, events: Sequence[ConnectionEvent]) -> None:
        """See ``ConnectionRecords``."""
        if events:
            await self._save(self._statements.begin, {}, events)

    async def history(self, user: str, limit: int = 50) -> Sequence[ConnectionEvent]:
        """See ``ConnectionRecords``."""
        rows = await self._read(self._statements.history, given_user_id=user, most=limit)
        return [ConnectionEvent(*row) for row in rows]

    async def prune(self, now: float, *, audit_seconds: float) -> None:
        """See ``ConnectionRecords``."""
        for statement, values in (
            (self._statements.remove_values, {"given_expires_at": now}),
            (self._statements.remove_events, {"given_at": now - audit_seconds}),
        ):
            while len(await self._save(statement, {**values, "most": STEP})) == STEP:
                pass

    async def close(self) -> None:
        """See ``ConnectionRecords``."""
        await self._database.close_async()
        self._database.close()

    def __repr__(self) -> str:
        return f"SqlRecords({self._where}, prefix={self._prefix!r})"

    async def _read(self, statement: Any, **values: Any) -> list[Any]:
        rows, problem = await self._database.run_async(Statement(statement, values))
        if problem:
            raise StoreUnreadableError(f"{self._where}: connections cannot be read: {problem}.")
        return rows.value

    async def _save(
        self,
        statement: Any,
        values: Mapping[str, Any],
        events: Sequence[ConnectionEvent] = (),
        jobs: Sequence[Job] = (),
    ) -> list[Any]:
        then = []
        if events:
            recorded = [_event(id_, each) for id_, each in zip(event_ids(), events, strict=False)]
            then.append(Statement(self._statements.record, recorded))
        if jobs:
            then.append(Statement(self._statements.schedule, [_job(each) for each in jobs]))
        rows, problem = await self._database.run_async(Statement(statement, values, tuple(then)))
        if problem:
            raise StoreError(f"{self._where}: a change of connections was not saved: {problem}.")
        return rows.value


def _key(user: str, provider: str) -> dict[str, Any]:
    return {"given_user_id": user, "given_provider": provider}


def _values(connection: Connection) -> dict[str, Any]:
    return {
        "user_id": connection.user,
        "provider": connection.provider,
        "state": connection.state,
        "connected_at": connection.connected_at,
        "refreshed_at": connection.refreshed_at,
        "used_at": connection.used_at,
        "due_at": connection.due_at,
        "details": connection.details,
    }


def _job(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "due_at": job.due_at,
        "payload": job.payload,
        "attempts": job.attempts,
    }


def _event(id_: str, event: ConnectionEvent) -> dict[str, Any]:
    # A provider may have sent the reason, and PostgreSQL rejects some characters.
    reason = event.reason.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    return {
        "id": id_,
        "user_id": event.user,
        "provider": event.provider,
        "name": event.name,
        "at": event.at,
        "reason": reason,
        "count": event.count,
    }


def _digest(key: str) -> str:
    return sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
