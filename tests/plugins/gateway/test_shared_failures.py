"""A provider's failures that machines share through a store."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from grantway import Token
from grantway._exceptions import GrantwayError, ProviderPausedError, StoreUnreadableError
from grantway_plugins.gateway._protection import FailureRecord, Protection, protection as module
from grantway_plugins.stores.memory._store import MemoryStore
from tests import faults
from tests.faults import FaultServer
from tests.plugins.gateway.concurrency import PATIENCE, Clock, make_client, request_token, until
from tests.plugins.gateway.test_protection import DOWN, GRANTED, LATER, protection

KEY = "failures"


class SlowStore(MemoryStore):
    """A store whose reads wait, or fail.

    Attributes:
        released: Reads wait for it.
        broken: Whether reads fail.
        reads: Number of reads.
    """

    def __init__(self) -> None:
        super().__init__()
        self.released = threading.Event()
        self.released.set()
        self.broken = False
        self.reads = 0

    def load(self, key: str) -> Token | None:
        self.reads += 1
        assert self.released.wait(PATIENCE)
        if self.broken:
            raise StoreUnreadableError("the store is unavailable")
        return super().load(key)


@pytest.fixture
def store() -> SlowStore:
    return SlowStore()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let calls wait for the store as long as a busy machine delays it."""
    monkeypatch.setattr(module, "PATIENCE", PATIENCE)


def sharing(clock: Clock, store: MemoryStore, **rules: Any) -> Protection:
    """Return the protection of one machine."""
    made = protection(clock, **rules)
    made.share(FailureRecord(store, KEY))
    return made


def fail(client: Any, times: int) -> None:
    for _ in range(times):
        with pytest.raises(GrantwayError):
            request_token(client)


@pytest.mark.usefixtures("patient")
def test_an_open_breaker_opens_on_another_machine(clock: Clock, store: SlowStore) -> None:
    """That machine sends nothing, and later one probe."""
    first, second = sharing(clock, store), sharing(clock, store)
    with (
        FaultServer(DOWN, DOWN, DOWN, GRANTED) as server,
        make_client(server, first) as one,
        make_client(server, second) as other,
    ):
        fail(one, 3)
        until(lambda: store.load(KEY) is not None)
        with pytest.raises(ProviderPausedError, match="circuit breaker is open") as paused:
            request_token(other)
        assert 0 < (paused.value.retry_after or 0) <= 5.0
        assert "3 failures in a row" in second.state().why
        assert len(server.requests) == 3
        clock.now += 5.0
        assert second.state().breaker == "half_open"
        request_token(other)
        assert (second.state().breaker, len(server.requests)) == ("closed", 4)


@pytest.mark.usefixtures("patient")
def test_a_retry_after_applies_on_another_machine(clock: Clock, store: SlowStore) -> None:
    first, second = sharing(clock, store), sharing(clock, store)
    with (
        FaultServer(LATER) as server,
        make_client(server, first) as one,
        make_client(server, second) as other,
    ):
        fail(one, 1)
        until(lambda: store.load(KEY) is not None)
        with pytest.raises(ProviderPausedError, match="sent Retry-After") as paused:
            request_token(other)
        assert paused.value.retry_after == pytest.approx(30, abs=5)
        assert len(server.requests) == 1


def test_a_shorter_pause_does_not_replace_a_longer_one(clock: Clock, store: SlowStore) -> None:
    first = sharing(clock, store, failures=1, open_for=50.0)
    second = sharing(clock, store, failures=1, open_for=5.0)
    second.share(None)
    with (
        FaultServer(DOWN, DOWN) as server,
        make_client(server, first) as one,
        make_client(server, second) as other,
    ):
        fail(one, 1)
        until(lambda: store.load(KEY) is not None)
        before = store.load(KEY)
        second.share(record := FailureRecord(store, KEY))
        record.read(lambda _: None)  # so that the call does not read it again
        reads = store.reads
        fail(other, 1)
        until(lambda: store.reads > reads)
    assert store.load(KEY) == before


@pytest.mark.usefixtures("patient")
def test_a_call_that_reads_a_failure_sends_nothing(
    clock: Clock, store: SlowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if the thread that reads it is slow, and then slow to open the breaker."""
    first, second = sharing(clock, store, failures=1), sharing(clock, store)

    def late(work: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def works_late(argument: Any) -> Any:
            threading.Event().wait(0.05)
            return work(argument)

        return works_late

    with (
        FaultServer(DOWN, GRANTED) as server,
        make_client(server, first) as one,
        make_client(server, second) as other,
    ):
        fail(one, 1)
        until(lambda: store.load(KEY) is not None)
        monkeypatch.setattr(store, "load", late(store.load))
        monkeypatch.setattr(second, "_apply_shared", late(second._apply_shared))
        with pytest.raises(ProviderPausedError, match="circuit breaker is open"):
            request_token(other)
        assert len(server.requests) == 1


@pytest.mark.parametrize("broken", [False, True])
def test_a_faulty_store_hardly_delays_calls(clock: Clock, store: SlowStore, broken: bool) -> None:
    guard = sharing(clock, store)
    store.broken = broken
    if not broken:
        store.released.clear()
    with FaultServer(GRANTED) as server, make_client(server, guard) as client:
        began = time.monotonic()
        for _ in range(3):
            request_token(client)
        assert time.monotonic() - began < PATIENCE / 2
        assert (store.reads, len(server.requests)) == (1, 3)
    store.released.set()


def test_ignores_a_record_that_it_cannot_read(clock: Clock, store: SlowStore) -> None:
    for text in ("", "{}", "[1]", '{"until": "soon"}', '{"until": null}'):
        store.save(KEY, Token(text or "-", expires_at=time.time() + 60))
        with (
            FaultServer(GRANTED) as server,
            make_client(server, sharing(clock, store)) as client,
        ):
            request_token(client)


def test_a_record_of_the_past_opens_nothing(clock: Clock, store: SlowStore) -> None:
    first, second = sharing(clock, store, failures=1, open_for=0.01), sharing(clock, store)
    with (
        FaultServer(DOWN, faults.respond()) as server,
        make_client(server, first) as one,
        make_client(server, second) as other,
    ):
        fail(one, 1)
        until(lambda: store.load(KEY) is not None)
        time.sleep(0.02)
        request_token(other)
        assert second.state().breaker == "closed"


@pytest.fixture
def clock() -> Clock:
    return Clock()
