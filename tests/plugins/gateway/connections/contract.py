"""Tests that every implementation of ``ConnectionRecords`` passes."""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeAlias, TypeVar

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from grantway._exceptions import StoreError, StoreUnreadableError
from grantway_plugins.gateway._connections.connection import Connection, ConnectionEvent
from grantway_plugins.gateway._connections.records import ConnectionRecords, Job
from grantway_plugins.gateway._connections.user import user_id
from tests.plugins.gateway.connections.model import RecordsMachine

Result = TypeVar("Result")
Run: TypeAlias = Callable[[Coroutine[Any, Any, Result]], Result]

ALICE, BOB = user_id("https://login.example.com", "alice"), user_id("https://a.example", "bob")


def connection(user: str = ALICE, provider: str = "github", **changes: Any) -> Connection:
    """Return a connection that is due at 200 seconds."""
    made = Connection(user, provider, "connected", 100.0, 100.5, None, 200.0, "eyJ.details.é")
    return replace(made, **changes)


def event(name: Any = "used", at: float = 100.0, **changes: Any) -> ConnectionEvent:
    """Return an event of Alice's connection."""
    return replace(ConnectionEvent(ALICE, "github", name, at), **changes)


def job(id_: str = "job", due_at: float = 100.0) -> Job:
    """Return a job."""
    return Job(id_, due_at, "eyJ.payload.é")


def numbers(due: list[Any]) -> list[int]:
    """Return the numbers in the identifiers of entries named like ``x12``."""
    return sorted(int(getattr(each, "provider", each.id)[1:]) for each in due)


class RecordsContract:
    """Each call of the fixture ``reopen`` opens the same records, which are empty at first."""

    @pytest.fixture
    def run(self) -> Iterator[Run[Any]]:
        with asyncio.Runner() as runner:
            yield runner.run

    @pytest.fixture
    def records(self, run: Run[Any], reopen: Callable[[], Any]) -> Iterator[ConnectionRecords]:
        opened: ConnectionRecords = reopen()
        yield opened
        run(opened.close())

    def test_saves_connections(self, run: Run[Any], records: ConnectionRecords) -> None:
        assert run(records.connection(ALICE, "github")) is None
        given = connection(used_at=150.25, due_at=math.inf)
        run(records.put(given))
        saved = run(records.connection(ALICE, "github"))
        assert replace(saved, version=0) == given
        assert saved.version != 0
        changed = replace(saved, used_at=None, due_at=300.1, details="other")
        assert run(records.change(changed))
        again = run(records.connection(ALICE, "github"))
        assert replace(again, version=saved.version) == changed
        run(records.put(again))
        assert run(records.connection(ALICE, "github")).version not in {
            again.version,
            saved.version,
        }
        assert run(records.remove(ALICE, "github"))
        assert not run(records.remove(ALICE, "github"))
        assert run(records.connection(ALICE, "github")) is None

    def test_rejects_a_change_of_another_version(
        self, run: Run[Any], records: ConnectionRecords
    ) -> None:
        assert not run(records.change(connection(version=1)))
        run(records.put(connection()))
        first = run(records.connection(ALICE, "github"))
        assert run(records.change(replace(first, state="broken")))
        broken = run(records.connection(ALICE, "github"))
        late = replace(first, used_at=1.0)
        assert not run(records.change(late, events=[event()], jobs=[job()]))
        assert run(records.connection(ALICE, "github")) == broken
        assert list(run(records.history(ALICE))) == []
        assert list(run(records.claim_jobs(1e9, lease=1.0, limit=9))) == []

    def test_a_change_of_a_removed_connection_does_not_reach_its_successor(
        self, run: Run[Any], records: ConnectionRecords
    ) -> None:
        run(records.put(connection()))
        former = run(records.connection(ALICE, "github"))
        run(records.remove(ALICE, "github"))
        assert not run(records.change(former))
        run(records.put(connection()))
        assert not run(records.change(replace(former, state="broken")))
        assert run(records.connection(ALICE, "github")).state == "connected"

    def test_saves_events_and_jobs_with_a_change(
        self, run: Run[Any], records: ConnectionRecords
    ) -> None:
        run(records.put(connection(), events=[event("connected", 1.0)], jobs=[job("x1", 1.0)]))
        saved = run(records.connection(ALICE, "github"))
        several = [event("used", 2.0), event("broken", 2.0, reason="invalid_grant", count=7)]
        assert run(records.change(saved, events=several, jobs=[job("x2", 2.0), job("x3", 3.0)]))
        last = event("disconnected", 4.0)
        assert run(records.remove(ALICE, "github", events=[last], jobs=[job("x4", 4.0)]))
        assert not run(records.remove(ALICE, "github", events=[last], jobs=[job("x5", 5.0)]))
        assert list(run(records.history(ALICE))) == [
            last,
            *reversed(several),
            event("connected", 1.0),
        ]
        assert numbers(run(records.claim_jobs(9.0, lease=1.0, limit=9))) == [1, 2, 3, 4]

    def test_lists_the_connections_of_a_user(
        self, run: Run[Any], records: ConnectionRecords
    ) -> None:
        for provider in ("zoom", "GitHub", "git-hub", "github", "été", "a b"):
            run(records.put(connection(provider=provider)))
        run(records.put(connection(BOB)))
        run(records.put(connection(ALICE + "x")))
        found = [each.provider for each in run(records.connections(ALICE))]
        assert found == ["GitHub", "a b", "git-hub", "github", "zoom", "été"]
        assert list(run(records.connections("nobody"))) == []

    def test_lists_all_connections_in_pages(
        self, run: Run[Any], records: ConnectionRecords
    ) -> None:
        users = [user_id("https://login.example.com", str(number)) for number in range(8)]
        for user in users:
            for provider in ("Zoom", "a b", "github"):
                run(records.put(connection(user, provider)))
        expected = sorted(
            f"{user} {provider}" for user in users for provider in ("Zoom", "a b", "github")
        )
        found: list[str] = []
        while page := run(records.page(found[-1] if found else "", 5)):
            assert len(page) <= 5
            found += [each.id for each in page]
        assert found == expected
        assert [each.id for each in run(records.page(users[3], 3))] == [
            each for each in expected if each > users[3]
        ][:3]

    def test_counts_connections(self, run: Run[Any], records: ConnectionRecords) -> None:
        assert run(records.counts()) == {}
        for number in range(3):
            run(records.put(connection(f"user{number}")))
            run(records.put(connection(f"user{number}", "zoom", state="broken")))
        run(records.put(connection("user0")))
        run(records.remove("user1", "zoom"))
        saved = run(records.connection("user2", "zoom"))
        assert run(records.change(replace(saved, state="connected")))
        assert run(records.counts()) == {
            ("github", "connected"): 3,
            ("zoom", "broken"): 1,
            ("zoom", "connected"): 1,
        }

    def test_claims_due_connections(self, run: Run[Any], records: ConnectionRecords) -> None:
        for number, due_at in enumerate([50.0, 40.0, 30.0, 20.0, math.inf, 60.5]):
            run(records.put(connection(provider=f"x{number}", due_at=due_at)))
        run(records.put(connection(provider="x6", due_at=10.0, state="broken")))
        before = run(records.connection(ALICE, "x3"))
        assert list(run(records.claim_due(19.9, lease=5.0, limit=9))) == []
        assert list(run(records.claim_due(60.0, lease=5.0, limit=0))) == []
        claimed = run(records.claim_due(60.0, lease=5.0, limit=2))
        assert numbers(claimed) == [2, 3]
        assert {each.due_at for each in claimed} == {65.0}
        assert numbers(run(records.claim_due(60.5, lease=5.0, limit=9))) == [0, 1, 5]
        assert list(run(records.claim_due(64.9, lease=5.0, limit=9))) == []
        # A change that began before the claim cannot make the connection due at once.
        assert not run(records.change(before))
        for each in claimed:
            assert run(records.connection(ALICE, each.provider)) == each
            assert run(records.change(replace(each, due_at=500.0)))
        assert numbers(run(records.claim_due(65.5, lease=5.0, limit=9))) == [0, 1, 5]
        assert numbers(run(records.claim_due(1e12, lease=5.0, limit=9))) == [0, 1, 2, 3, 5]

    def test_claims_jobs_until_they_are_finished(
        self, run: Run[Any], records: ConnectionRecords
    ) -> None:
        for number, due_at in enumerate([3.0, 2.0, 1.0]):
            run(records.schedule(job(f"x{number}", due_at)))
        first = run(records.claim_jobs(3.0, lease=10.0, limit=2))
        assert numbers(first) == [1, 2]
        assert {(each.attempts, each.due_at, each.payload) for each in first} == {
            (1, 13.0, job().payload)
        }
        assert numbers(run(records.claim_jobs(3.0, lease=10.0, limit=2))) == [0]
        assert list(run(records.claim_jobs(12.9, lease=10.0, limit=9))) == []
        run(records.finish("x1"))
        run(records.finish("x1"))
        run(records.schedule(Job("x2", 20.0, "replaced", attempts=5)))
        (again,) = run(records.claim_jobs(13.0, lease=10.0, limit=9))
        assert again == Job("x0", 23.0, job().payload, attempts=2)
        (replaced,) = run(records.claim_jobs(20.0, lease=10.0, limit=9))
        assert replaced == Job("x2", 30.0, "replaced", attempts=6)

    def test_keeps_values_until_they_expire(
        self, run: Run[Any], records: ConnectionRecords
    ) -> None:
        run(records.keep("session é", "first", 100.0))
        run(records.keep("session é", "value é", 200.0))
        assert run(records.kept("session é", 199.9)) == "value é"
        assert run(records.kept("session é", 200.0)) is None
        assert run(records.kept("other", 0.0)) is None
        assert run(records.take("session é", 199.9)) == "value é"
        assert run(records.take("session é", 199.9)) is None
        assert run(records.kept("session é", 199.9)) is None
        assert run(records.kept("\0\ud800", 0.0)) is None
        run(records.keep("late", "value", 200.0))
        assert run(records.take("late", 200.0)) is None
        assert run(records.take("late", 100.0)) is None

    def test_lists_events_of_a_user(self, run: Run[Any], records: ConnectionRecords) -> None:
        events = [event(at=float(number), count=number + 1) for number in (3, 1, 2)]
        run(records.record([*events, event(user=BOB)]))
        run(records.record([event("refreshed", 2.0), event("revoked", 2.0, reason="é")]))
        run(records.record([]))
        run(records.record([event(user="hostile", reason="a\0\ud800")]))
        assert [(each.at, each.name) for each in run(records.history(ALICE))] == [
            (3.0, "used"),
            (2.0, "revoked"),
            (2.0, "refreshed"),
            (2.0, "used"),
            (1.0, "used"),
        ]
        assert list(run(records.history(ALICE, limit=1))) == [events[0]]
        assert list(run(records.history(BOB))) == [event(user=BOB)]
        assert run(records.history("hostile"))[0].reason.startswith("a")

    def test_prunes_values_and_events(self, run: Run[Any], records: ConnectionRecords) -> None:

        async def keep() -> None:
            """Keep more values than one step removes."""
            for start in range(0, 1200, 50):
                await asyncio.gather(
                    *(
                        records.keep(f"x{number}", "value", 100.0 if number else 101.0)
                        for number in range(start, start + 50)
                    )
                )

        run(keep())
        run(records.record([event(at=40.0, count=number) for number in range(1200)]))
        run(records.record([event(at=50.0), event(at=60.0), event(at=1.0, user=BOB)]))
        run(records.put(connection()))
        run(records.schedule(job()))
        run(records.prune(100.0, audit_seconds=50.0))
        assert run(records.kept("x0", 0.0)) == "value"
        assert [run(records.kept(f"x{number}", 0.0)) for number in (1, 500, 1199)] == [None] * 3
        assert [each.at for each in run(records.history(ALICE, 5000))] == [60.0, 50.0]
        assert list(run(records.history(BOB))) == []
        run(records.prune(1e12, audit_seconds=50.0))
        assert list(run(records.history(ALICE))) == []
        assert run(records.kept("x0", 0.0)) is None
        assert run(records.connection(ALICE, "github")) is not None
        assert len(run(records.claim_jobs(100.0, lease=1.0, limit=9))) == 1

    def test_works_on_several_event_loops(
        self, run: Run[Any], records: ConnectionRecords, reopen: Callable[[], Any]
    ) -> None:
        """Gateways claim concurrently: each entry is claimed, changed or taken once."""
        for number in range(60):
            run(records.put(connection(provider=f"x{number}", due_at=float(number))))
            run(records.schedule(job(f"x{number}", float(number))))
        contended = run(records.connection(ALICE, "x0"))
        run(records.keep("state", "value", 1e9))

        def gateway(number: int) -> tuple[list[Any], list[Any], bool, str | None]:
            async def work() -> tuple[list[Any], list[Any], bool, str | None]:
                own: ConnectionRecords = reopen()
                changed, taken = await asyncio.gather(
                    own.change(replace(contended, details=str(number), due_at=math.inf)),
                    own.take("state", 0.0),
                )
                due: list[Any] = []
                jobs: list[Any] = []
                while claimed := await own.claim_due(100.0, lease=1000.0, limit=3):
                    due += claimed
                while work := await own.claim_jobs(100.0, lease=1000.0, limit=3):
                    jobs += work
                await own.close()
                return due, jobs, changed, taken

            return asyncio.run(work())

        with ThreadPoolExecutor(4) as pool:
            outcomes = list(pool.map(gateway, range(4)))
        due, jobs, changed, taken = zip(*outcomes, strict=True)
        assert sum(changed) <= 1
        first = 0 if not any(changed) else 1
        claimed = numbers([each for one in due for each in one])
        # Without a change, a gateway has claimed the connection before the others changed it.
        assert claimed in (list(range(first, 60)), list(range(60)))
        assert numbers([each for one in jobs for each in one]) == list(range(60))
        assert sorted(taken, key=str) == [None, None, None, "value"]

    def test_behaves_like_a_simple_model(self, run: Run[Any], records: ConnectionRecords) -> None:
        run_state_machine_as_test(  # type: ignore[no-untyped-call]
            lambda: RecordsMachine(run, records),
            settings=settings(max_examples=self.examples, stateful_step_count=30, deadline=None),
        )

    #: Number of examples for the comparison with the model.
    examples = 8


class DatabaseContract(RecordsContract):
    """Tests for records in a database, whose responses may be lost."""

    def test_a_change_that_is_sent_again_is_recognised(
        self, run: Run[Any], records: ConnectionRecords, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The response to the first one was lost."""
        run(records.put(connection()))
        saved = run(records.connection(ALICE, "github"))
        changed = replace(saved, state="broken")
        monkeypatch.setattr(sys.modules[type(records).__module__], "new_version", lambda: 5)
        assert run(records.change(changed, events=[event()], jobs=[job("x1")]))
        # Another gateway does the job meanwhile.
        assert numbers(run(records.claim_jobs(100.0, lease=99.0, limit=9))) == [1]
        assert run(records.change(changed, events=[event()], jobs=[job("x1")]))
        monkeypatch.setattr(sys.modules[type(records).__module__], "new_version", lambda: 6)
        run(records.put(connection(), jobs=[job("x2")]))
        assert numbers(run(records.claim_jobs(100.0, lease=99.0, limit=9))) == [2]
        run(records.put(connection(), jobs=[job("x2")]))
        monkeypatch.undo()
        assert list(run(records.claim_jobs(100.0, lease=99.0, limit=9))) == []
        assert not run(records.change(changed))
        assert run(records.counts()) == {("github", "connected"): 1}


class ServerContract(DatabaseContract):
    """Tests for records on a server, which the fixture ``server`` runs."""

    def test_continues_after_a_restart_of_the_server(
        self, run: Run[Any], records: ConnectionRecords, server: Any
    ) -> None:
        run(records.put(connection(), events=[event()], jobs=[job()]))
        server.restart()
        assert run(records.connection(ALICE, "github")) is not None
        server.restart()
        run(records.put(connection(BOB), events=[event(user=BOB)], jobs=[job("other")]))
        assert len(run(records.page())) == 2
        assert len(run(records.claim_jobs(100.0, lease=1.0, limit=9))) == 2
        server.stop()
        try:
            with pytest.raises(StoreUnreadableError, match="cannot be reached"):
                run(records.page())
            with pytest.raises(StoreError, match="not saved: it cannot be reached"):
                run(records.finish("job"))
        finally:
            server.start()
