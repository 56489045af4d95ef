"""Records of plugins, in memory, in SQLite and in PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from grantway_plugins.issuer import Records
from grantway_plugins.issuer._storage.plugin_records import MAX_KEY, MAX_VALUE
from grantway_plugins.issuer._storage.store import IssuerStore
from tests.plugins.issuer.conftest import Clock
from tests.postgres import PostgresServer

SECRET = "hunter2-of-the-caller"
RACERS = 8


@dataclass
class Issuers:
    """The stores of issuers that share a database, and their clock."""

    stores: list[IssuerStore]
    clock: Clock

    def run(self, work: Callable[[Records], Any], namespace: str = "acme", store: int = 0) -> Any:
        """Run work on the records of a namespace in one transaction."""
        store = store % len(self.stores)
        return self.stores[store].run(lambda transaction: work(transaction.records(namespace)))

    def race(self, work: Callable[[Records], Any]) -> list[Any]:
        """Run work at the same time in several transactions, on all issuers alternately."""
        start = threading.Barrier(RACERS)

        def racer(number: int) -> Any:
            start.wait()
            return self.run(work, store=number)

        with ThreadPoolExecutor(RACERS) as threads:
            return list(threads.map(racer, range(RACERS)))


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def issuers(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Issuers]:
    """One issuer in memory, or two on an empty database."""
    database, count = ":memory:", 1
    if request.param == "sqlite":
        database, count = str(tmp_path / "issuer.db"), 2
    elif request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        server.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        database, count = server.url, 2
    with ExitStack() as open_stores:
        stores = [IssuerStore(database, clock=clock) for _ in range(count)]
        for each in stores:
            open_stores.callback(each.close)
        yield Issuers(stores, clock)


def test_stores_replaces_and_deletes_a_record(issuers: Issuers) -> None:
    until = issuers.clock.now + 60
    assert issuers.run(lambda records: records.get("k")) is None
    value = {"n": 1, "text": "caf\u00e9 \ud800"}
    issuers.run(lambda records: records.put("k", value, until=until))
    assert issuers.run(lambda records: records.get("k"), store=1) == value
    issuers.run(lambda records: records.put("k", {"n": 2}, until=until), store=1)
    assert issuers.run(lambda records: records.get("k")) == {"n": 2}
    issuers.run(lambda records: records.delete("k"))
    issuers.run(lambda records: records.delete("k"))
    assert issuers.run(lambda records: records.get("k"), store=1) is None


def test_namespaces_are_separate(issuers: Issuers) -> None:
    until = issuers.clock.now + 60
    issuers.run(lambda records: records.put("k", {"of": "acme"}, until=until))
    issuers.run(lambda records: records.put("k", {"of": "best"}, until=until), "best")
    assert issuers.run(lambda records: records.take("k"), "best") == {"of": "best"}
    assert issuers.run(lambda records: records.take("k")) == {"of": "acme"}


def test_a_record_expires_and_is_deleted(issuers: Issuers) -> None:
    issuers.run(lambda records: records.put("k", {}, until=issuers.clock.now + 60))
    issuers.clock.tick(59)
    assert not issuers.run(lambda records: records.add("k", {}, until=issuers.clock.now + 60))
    issuers.clock.tick(1)
    assert issuers.run(lambda records: records.get("k")) is None
    assert issuers.run(lambda records: records.take("k")) is None
    assert issuers.run(lambda records: records.add("k", {"n": 2}, until=issuers.clock.now + 60))
    assert issuers.run(lambda records: records.get("k")) == {"n": 2}
    assert issuers.stores[0].run(lambda transaction: transaction.prune(issuers.clock.now)) == 0
    issuers.clock.tick(61)
    assert issuers.stores[0].run(lambda transaction: transaction.prune(issuers.clock.now)) == 1


def test_one_of_several_concurrent_callers_takes_a_record(issuers: Issuers) -> None:
    for number in range(5):
        key, until = f"k{number}", issuers.clock.now + 60
        issuers.run(lambda records: records.put(key, {"n": number}, until=until))  # noqa: B023
        taken = issuers.race(lambda records: records.take(key))  # noqa: B023
        assert [each for each in taken if each is not None] == [{"n": number}]


def test_one_of_several_concurrent_callers_adds_a_record(issuers: Issuers) -> None:
    for number in range(5):
        key, until = f"k{number}", issuers.clock.now + 60
        assert sum(issuers.race(lambda records: records.add(key, {}, until=until))) == 1  # noqa: B023


def test_concurrent_changes_of_a_value_are_not_lost(issuers: Issuers) -> None:
    until = issuers.clock.now + 60

    def count(records: Records) -> None:
        found = records.get("attempts")
        assert found is not None
        records.put("attempts", {"n": found["n"] + 1}, until=until)

    issuers.run(lambda records: records.put("attempts", {"n": 0}, until=until))
    for _ in range(3):
        issuers.race(count)
    assert issuers.run(lambda records: records.get("attempts")) == {"n": 3 * RACERS}


def test_a_failed_transaction_takes_nothing(issuers: Issuers) -> None:
    issuers.run(lambda records: records.put("k", {"n": 1}, until=issuers.clock.now + 60))

    def fail(records: Records) -> None:
        assert records.take("k") == {"n": 1}
        raise RuntimeError

    with pytest.raises(RuntimeError):
        issuers.run(fail)
    assert issuers.run(lambda records: records.take("k")) == {"n": 1}


def test_keys_are_not_stored(tmp_path: Path, clock: Clock) -> None:
    store = IssuerStore(tmp_path / "issuer.db", clock=clock)
    issuers = Issuers([store], clock)
    issuers.run(lambda records: records.put(SECRET, {"n": "visible"}, until=clock.now + 60))
    assert issuers.run(lambda records: SECRET in repr(records)) is False
    store.close()
    resting = b"".join(each.read_bytes() for each in tmp_path.iterdir())
    assert b"visible" in resting
    assert SECRET.encode() not in resting


@pytest.fixture
def memory(clock: Clock) -> Iterator[Issuers]:
    store = IssuerStore(":memory:", clock=clock)
    yield Issuers([store], clock)
    store.close()


@pytest.mark.parametrize(
    ("key", "value", "until", "reason"),
    [
        ("", {}, 1, "the key of a record must be a string of 1 to 1024 characters"),
        (SECRET * MAX_KEY, {}, 1, "the key of a record"),
        (1, {}, 1, "the key of a record"),
        ("k", {"x": SECRET * MAX_VALUE}, 1, "at most 16384 bytes"),
        ("k", {"x": object()}, 1, "must be a JSON object"),
        ("k", {"x": float("nan")}, 1, "must be a JSON object"),
        ("k", [SECRET], 1, "must be a mapping"),
        ("k", {}, float("inf"), "until must be"),
        ("k", {}, None, "until must be"),
        ("k", {}, 10**400, "until must be"),
    ],
)
def test_rejects_invalid_records(
    memory: Issuers, key: Any, value: Any, until: Any, reason: str
) -> None:
    for method in ("put", "add"):
        with pytest.raises(ValueError, match=reason) as raised:
            memory.run(lambda records: getattr(records, method)(key, value, until=until))  # noqa: B023
        assert SECRET not in str(raised.value)


@pytest.mark.parametrize("key", ["", "k" * (MAX_KEY + 1), 1, None, ["k"]])
def test_there_is_no_record_with_an_invalid_key(memory: Issuers, key: Any) -> None:
    assert memory.run(lambda records: records.get(key)) is None
    assert memory.run(lambda records: records.take(key)) is None


def test_rejects_an_empty_namespace(memory: Issuers) -> None:
    with pytest.raises(ValueError, match="name of your distribution"):
        memory.run(lambda records: records, namespace=" ")
