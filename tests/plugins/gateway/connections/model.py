"""A simple model of records, with which Hypothesis compares the implementations."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from grantway_plugins.gateway._connections.connection import Connection, ConnectionEvent
from grantway_plugins.gateway._connections.records import ConnectionRecords, Job

USERS = st.sampled_from(["alice", "bob", "bob-"])
PROVIDERS = st.sampled_from(["github", "git hub", "zoom"])
TIMES = st.sampled_from([0.0, 1.5, 2.0, 3.25, 5.0, 8.0])
TEXTS = st.sampled_from(["", "a", "é\n b", "x" * 100])
KEYS = st.sampled_from(["one", "two", "three"])
EVENTS = st.lists(
    st.builds(
        ConnectionEvent,
        USERS,
        PROVIDERS,
        st.sampled_from(["used", "broken"]),
        TIMES,
        TEXTS,
        st.integers(1, 10**6),
    ),
    max_size=3,
)
JOBS = st.lists(
    st.builds(Job, KEYS, TIMES, TEXTS, st.integers(0, 3)), max_size=2, unique_by=lambda job: job.id
)
CONNECTIONS = st.builds(
    Connection,
    USERS,
    PROVIDERS,
    st.sampled_from(["connected", "broken"]),
    TIMES,
    TIMES,
    st.none() | TIMES,
    TIMES | st.just(math.inf),
    TEXTS,
)


class RecordsMachine(RuleBasedStateMachine):
    """Does the same with the records and with dictionaries, and compares the results."""

    def __init__(self, run: Callable[[Any], Any], records: ConnectionRecords) -> None:
        super().__init__()
        self.run, self.records = run, records
        run(_clear(records))
        self.saved: dict[str, Connection] = {}
        #: Earlier states of connections, which some gateway may still have.
        self.stale: list[Connection] = []
        self.jobs: dict[str, Job] = {}
        self.values: dict[str, tuple[str, float]] = {}
        self.events: list[ConnectionEvent] = []

    @rule(given=CONNECTIONS, events=EVENTS, jobs=JOBS)
    def put(self, given: Connection, events: list[ConnectionEvent], jobs: list[Job]) -> None:
        self.run(self.records.put(given, events=events, jobs=jobs))
        self._saved(given, events, jobs)

    @rule(given=CONNECTIONS, events=EVENTS, jobs=JOBS)
    def change(self, given: Connection, events: list[ConnectionEvent], jobs: list[Job]) -> None:
        current = self.saved.get(given.id)
        version = 7 if current is None else current.version
        changed = replace(given, version=version)
        assert self.run(self.records.change(changed, events=events, jobs=jobs)) == bool(current)
        if current:
            self._saved(changed, events, jobs)

    @rule(given=CONNECTIONS, events=EVENTS, jobs=JOBS, number=st.integers(0, 20))
    def change_too_late(
        self, given: Connection, events: list[ConnectionEvent], jobs: list[Job], number: int
    ) -> None:
        if self.stale:
            version = self.stale[number % len(self.stale)].version
            late = replace(given, version=version)
            assert not self.run(self.records.change(late, events=events, jobs=jobs))

    @rule(user=USERS, provider=PROVIDERS, events=EVENTS, jobs=JOBS)
    def remove(
        self, user: str, provider: str, events: list[ConnectionEvent], jobs: list[Job]
    ) -> None:
        current = self.saved.pop(f"{user} {provider}", None)
        removed = self.run(self.records.remove(user, provider, events=events, jobs=jobs))
        assert removed == (current is not None)
        if current is not None:
            self.stale.append(current)
            self._added(events, jobs)

    @rule(now=TIMES, lease=TIMES, limit=st.integers(0, 3))
    def claim_due(self, now: float, lease: float, limit: int) -> None:
        claimed = self.run(self.records.claim_due(now, lease=lease, limit=limit))
        due = sorted(
            each.due_at
            for each in self.saved.values()
            if each.state == "connected" and each.due_at <= now
        )
        before = [self.saved[each.id] for each in claimed]
        assert sorted(each.due_at for each in before) == due[:limit]
        assert len({each.id for each in claimed}) == len(claimed)
        for old, new in zip(before, claimed, strict=True):
            assert new == replace(old, due_at=now + lease, version=new.version)
            assert new.version != old.version
            self.stale.append(old)
            self.saved[new.id] = new

    @rule(jobs=JOBS)
    def schedule(self, jobs: list[Job]) -> None:
        for job in jobs:
            self.run(self.records.schedule(job))
        self._added([], jobs)

    @rule(now=TIMES, lease=TIMES, limit=st.integers(0, 3))
    def claim_jobs(self, now: float, lease: float, limit: int) -> None:
        claimed = self.run(self.records.claim_jobs(now, lease=lease, limit=limit))
        due = sorted(each.due_at for each in self.jobs.values() if each.due_at <= now)
        assert sorted(self.jobs[each.id].due_at for each in claimed) == due[:limit]
        for each in claimed:
            old = self.jobs[each.id]
            assert each == replace(old, due_at=now + lease, attempts=old.attempts + 1)
            self.jobs[each.id] = each

    @rule(key=KEYS)
    def finish(self, key: str) -> None:
        self.run(self.records.finish(key))
        self.jobs.pop(key, None)

    @rule(key=KEYS, value=TEXTS, expires_at=TIMES)
    def keep(self, key: str, value: str, expires_at: float) -> None:
        self.run(self.records.keep(key, value, expires_at))
        self.values[key] = value, expires_at

    @rule(key=KEYS, now=TIMES)
    def kept(self, key: str, now: float) -> None:
        assert self.run(self.records.kept(key, now)) == self._value(key, now)

    @rule(key=KEYS, now=TIMES)
    def take(self, key: str, now: float) -> None:
        assert self.run(self.records.take(key, now)) == self._value(key, now)
        self.values.pop(key, None)

    @rule(events=EVENTS)
    def record(self, events: list[ConnectionEvent]) -> None:
        self.run(self.records.record(events))
        self._added(events, [])

    @rule(now=TIMES, audit_seconds=TIMES)
    def prune(self, now: float, audit_seconds: float) -> None:
        self.run(self.records.prune(now, audit_seconds=audit_seconds))
        self.events = [each for each in self.events if each.at >= now - audit_seconds]
        self.values = {key: kept for key, kept in self.values.items() if now < kept[1]}

    @rule(user=USERS, limit=st.integers(0, 5))
    def history(self, user: str, limit: int) -> None:
        own = sorted((each for each in self.events if each.user == user), key=lambda each: each.at)
        found = list(self.run(self.records.history(user, limit)))
        assert found == list(reversed(own))[:limit]

    @rule(after=st.just("") | st.builds("{} {}".format, USERS, PROVIDERS), limit=st.integers(0, 9))
    def page(self, after: str, limit: int) -> None:
        expected = sorted(id_ for id_ in self.saved if id_ > after)[:limit]
        found = list(self.run(self.records.page(after, limit)))
        assert found == [self.saved[id_] for id_ in expected]

    @rule(user=USERS)
    def connections(self, user: str) -> None:
        own = [each for each in self.saved.values() if each.user == user]
        found = list(self.run(self.records.connections(user)))
        assert found == sorted(own, key=lambda each: each.provider)

    @rule(user=USERS, provider=PROVIDERS)
    def connection(self, user: str, provider: str) -> None:
        found = self.run(self.records.connection(user, provider))
        assert found == self.saved.get(f"{user} {provider}")

    @invariant()
    def counts(self) -> None:
        expected = Counter((each.provider, each.state) for each in self.saved.values())
        assert self.run(self.records.counts()) == dict(expected)

    def _saved(self, given: Connection, events: list[ConnectionEvent], jobs: list[Job]) -> None:
        saved = self.run(self.records.connection(given.user, given.provider))
        assert saved is not None
        assert replace(given, version=saved.version) == saved
        if before := self.saved.get(given.id):
            assert before.version != saved.version
            self.stale.append(before)
        self.saved[given.id] = saved
        self._added(events, jobs)

    def _added(self, events: list[ConnectionEvent], jobs: list[Job]) -> None:
        self.events += events
        self.jobs.update((job.id, job) for job in jobs)

    def _value(self, key: str, now: float) -> str | None:
        value, expires_at = self.values.get(key, ("", -math.inf))
        return value if now < expires_at else None


async def _clear(records: ConnectionRecords) -> None:
    for each in await records.page("", 1000):
        await records.remove(each.user, each.provider)
    for job in await records.claim_jobs(1e12, lease=1.0, limit=1000):
        await records.finish(job.id)
    await records.prune(1e12, audit_seconds=0.0)
