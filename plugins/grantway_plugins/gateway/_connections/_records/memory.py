"""Records of connections in the memory of one process."""

from __future__ import annotations

import itertools
import math
import threading
from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Generic, TypeVar

from grantway._processes.copies import OneProcess
from grantway_plugins.gateway._connections.connection import Connection, ConnectionEvent
from grantway_plugins.gateway._connections.records import Job

from .identifiers import new_version

Entry = TypeVar("Entry", Connection, Job)


class MemoryRecords(OneProcess):
    """Keeps the records until the process ends; for one gateway, in tests and on trial."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # several event loops may use one gateway's records
        self._connections: _Table[Connection] = _Table()
        self._jobs: _Table[Job] = _Table()
        self._ids: list[str] = []
        self._values: dict[str, tuple[str, float]] = {}
        self._events: dict[str, list[ConnectionEvent]] = {}

    async def connection(self, user: str, provider: str) -> Connection | None:
        """See ``ConnectionRecords``."""
        return self._connections.entries.get(_id(user, provider))

    async def connections(self, user: str) -> Sequence[Connection]:
        """See ``ConnectionRecords``."""
        with self._lock:
            # A user's identifier contains no space, so its connections are next to each other.
            start = bisect_right(self._ids, f"{user} ")
            ids = itertools.takewhile(
                lambda id_: id_.startswith(f"{user} "), itertools.islice(self._ids, start, None)
            )
            return [self._connections.entries[each] for each in ids]

    async def page(self, after: str = "", limit: int = 100) -> Sequence[Connection]:
        """See ``ConnectionRecords``."""
        with self._lock:
            start = bisect_right(self._ids, after)
            return [self._connections.entries[each] for each in self._ids[start : start + limit]]

    async def counts(self) -> dict[tuple[str, str], int]:
        """See ``ConnectionRecords``."""
        with self._lock:
            all_of_them = self._connections.entries.values()
            return dict(Counter((each.provider, each.state) for each in all_of_them))

    async def put(
        self,
        connection: Connection,
        *,
        events: Sequence[ConnectionEvent] = (),
        jobs: Sequence[Job] = (),
    ) -> None:
        """See ``ConnectionRecords``."""
        with self._lock:
            if connection.id not in self._connections.entries:
                insort(self._ids, connection.id)
            self._save(connection, events, jobs)

    async def change(
        self,
        connection: Connection,
        *,
        events: Sequence[ConnectionEvent] = (),
        jobs: Sequence[Job] = (),
    ) -> bool:
        """See ``ConnectionRecords``."""
        with self._lock:
            saved = self._connections.entries.get(connection.id)
            if saved is None or saved.version != connection.version:
                return False
            self._save(connection, events, jobs)
            return True

    async def remove(
        self,
        user: str,
        provider: str,
        *,
        events: Sequence[ConnectionEvent] = (),
        jobs: Sequence[Job] = (),
    ) -> bool:
        """See ``ConnectionRecords``."""
        with self._lock:
            id_ = _id(user, provider)
            if not self._connections.remove(id_):
                return False
            del self._ids[bisect_right(self._ids, id_) - 1]
            self._add(events, jobs)
            return True

    async def claim_due(self, now: float, *, lease: float, limit: int) -> Sequence[Connection]:
        """See ``ConnectionRecords``."""
        with self._lock:
            due = self._connections.due(now, limit)
            claimed = [replace(each, due_at=now + lease, version=new_version()) for each in due]
            for each in claimed:
                self._connections.save(each, each.due_at)
            return claimed

    async def schedule(self, job: Job) -> None:
        """See ``ConnectionRecords``."""
        with self._lock:
            self._add((), [job])

    async def claim_jobs(self, now: float, *, lease: float, limit: int) -> Sequence[Job]:
        """See ``ConnectionRecords``."""
        with self._lock:
            due = self._jobs.due(now, limit)
            claimed = [
                replace(each, due_at=now + lease, attempts=each.attempts + 1) for each in due
            ]
            self._add((), claimed)
            return claimed

    async def finish(self, job_id: str) -> None:
        """See ``ConnectionRecords``."""
        with self._lock:
            self._jobs.remove(job_id)

    async def keep(self, key: str, value: str, expires_at: float) -> None:
        """See ``ConnectionRecords``."""
        with self._lock:
            self._values[key] = value, expires_at

    async def kept(self, key: str, now: float) -> str | None:
        """See ``ConnectionRecords``."""
        value, expires_at = self._values.get(key, ("", -math.inf))
        return value if now < expires_at else None

    async def take(self, key: str, now: float) -> str | None:
        """See ``ConnectionRecords``."""
        with self._lock:
            value, expires_at = self._values.pop(key, ("", -math.inf))
        return value if now < expires_at else None

    async def record(self, events: Sequence[ConnectionEvent]) -> None:
        """See ``ConnectionRecords``."""
        with self._lock:
            self._add(events, ())

    async def history(self, user: str, limit: int = 50) -> Sequence[ConnectionEvent]:
        """See ``ConnectionRecords``."""
        with self._lock:
            return self._events.get(user, [])[: -limit - 1 : -1]

    async def prune(self, now: float, *, audit_seconds: float) -> None:
        """See ``ConnectionRecords``."""
        with self._lock:
            self._values = {key: kept for key, kept in self._values.items() if now < kept[1]}
            oldest = now - audit_seconds
            left = {
                user: [each for each in events if each.at >= oldest]
                for user, events in self._events.items()
            }
            self._events = {user: events for user, events in left.items() if events}

    async def close(self) -> None:
        """Do nothing: there is no connection to a database."""

    def __repr__(self) -> str:
        return "MemoryRecords()"

    def _save(
        self, connection: Connection, events: Sequence[ConnectionEvent], jobs: Sequence[Job]
    ) -> None:
        saved = replace(connection, version=new_version())
        # A broken connection is never due.
        self._connections.save(saved, saved.due_at if saved.state == "connected" else math.inf)
        self._add(events, jobs)

    def _add(self, events: Sequence[ConnectionEvent], jobs: Sequence[Job]) -> None:
        for event in events:
            insort(self._events.setdefault(event.user, []), event, key=lambda each: each.at)
        for job in jobs:
            self._jobs.save(job, job.due_at)


def _id(user: str, provider: str) -> str:
    return f"{user} {provider}"


class _Table(Generic[Entry]):
    """Entries by their identifier, sorted by the time at which they are due."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self._due_at: dict[str, float] = {}
        self._times: list[tuple[float, str]] = []

    def save(self, entry: Entry, due_at: float) -> None:
        self.remove(entry.id)
        self.entries[entry.id] = entry
        if due_at < math.inf:
            self._due_at[entry.id] = due_at
            insort(self._times, (due_at, entry.id))

    def remove(self, id_: str) -> bool:
        due_at = self._due_at.pop(id_, None)
        if due_at is not None:
            del self._times[bisect_left(self._times, (due_at, id_))]
        return self.entries.pop(id_, None) is not None

    def due(self, now: float, limit: int) -> list[Entry]:
        first = itertools.islice(self._times, max(0, limit))
        times = itertools.takewhile(lambda each: each[0] <= now, first)
        return [self.entries[id_] for _due_at, id_ in times]
