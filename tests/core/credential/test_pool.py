"""Credential pools."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from grantway import Credential, CredentialPool
from grantway._exceptions import ConfigurationError, StoreSaveError
from grantway_plugins.stores.file._store import FileStore
from grantway_plugins.stores.memory._store import MemoryStore
from tests.core.credential.conftest import Start
from tests.core.credential.doubles import FaultyStore
from tests.core.credential.scenes import (
    PATIENCE,
    SECRET,
    Clock,
    Gate,
    issue,
    run_together,
    token,
    wait_for_refreshes,
)

DEVICE: dict[str, Any] = {"grant_type": "urn:ietf:params:oauth:grant-type:device_code"}


def test_each_name_has_its_own_token(start: Start) -> None:
    client, server = start(issue())
    pool = client.credential_pool(**SECRET, store=MemoryStore())
    tokens = {name: pool.token(name).access_token for name in ("a", "b", "c")}
    assert len(set(tokens.values())) == 3
    assert {name: pool.token(name).access_token for name in tokens} == tokens
    assert asyncio.run(pool.token_async("a")).access_token == tokens["a"]
    assert len(server.requests) == len(pool) == 3
    assert len({pool.credential(name).key for name in tokens}) == 3


def test_is_bounded(start: Start) -> None:
    client, _ = start(issue())
    pool = client.credential_pool(**SECRET, entries=10)
    for number in range(1000):
        pool.credential(f"tenant-{number}")
        assert len(pool) <= 10
    assert repr(pool) == "CredentialPool(10 of 10 entries)"


@pytest.mark.slow
@pytest.mark.parametrize("entries", [4097, 100_000])
def test_is_bounded_at_any_size(entries: int, start: Start) -> None:
    client, _ = start(issue())
    one = client.credential(**SECRET)
    pool = CredentialPool(lambda _: one, entries=entries)
    for number in range(2 * entries):
        pool.credential(f"tenant-{number}")
    assert entries * 0.9 < len(pool) <= entries * 1.125 + 1


def test_keeps_credentials_that_are_in_use(start: Start) -> None:
    client, _ = start(issue())
    made: list[str] = []

    def make(name: str) -> Credential:
        made.append(name)
        return client.credential(**SECRET, subject=name)

    pool = CredentialPool(make, entries=8)
    for name in "abcdefgh":
        pool.credential(name)
    for each in "bcdefgh":
        pool.credential(each).used = False
    pool.credential("new")
    assert pool.credential("a") is pool.credential("a")
    assert made == [*"abcdefgh", "new"]
    pool.credential("b")  # the oldest unused one was dropped
    assert made[-1] == "b"


@pytest.mark.parametrize("name", ["", None, 7, b"tenant"])
def test_rejects_an_empty_name(name: Any, start: Start) -> None:
    client, server = start(issue())
    pool = client.credential_pool(**SECRET)
    for ask in (pool.token, pool.credential):
        with pytest.raises(ConfigurationError, match="must be non-empty text"):
            ask(name)
    with pytest.raises(ConfigurationError, match="must be non-empty text"):
        asyncio.run(pool.token_async(name))
    assert not server.requests
    assert len(pool) == 0


def test_concurrent_first_calls_get_one_credential(start: Start) -> None:
    client, _ = start(issue())
    barrier = threading.Barrier(8)

    def make(name: str) -> Credential:
        barrier.wait(PATIENCE)  # every thread creates one
        return client.credential(**SECRET, subject=name)

    pool = CredentialPool(make)
    found = run_together([lambda: pool.credential("a")] * 8)
    assert len({id(each) for each in found}) == 1


def test_loads_the_token_of_a_dropped_credential_from_the_store(
    start: Start, tmp_path: Path
) -> None:
    client, server = start(issue())
    pool = client.credential_pool(**DEVICE, store=FileStore(tmp_path), entries=2)
    for number in range(10):
        pool.credential(f"user-{number}").accept(token(number, refresh_token=f"rt-{number}"))
    for number in range(10):
        assert pool.token(f"user-{number}").refresh_token == f"rt-{number}"
    assert len(pool) == 2
    assert not server.requests


@pytest.mark.parametrize(
    "given",
    [
        DEVICE,
        {"grant_type": "authorization_code"},
        {"grant_type": "refresh_token"},
        {**DEVICE, "device_code": "dc"},
    ],
)
def test_an_interactive_grant_requires_a_store(given: dict[str, Any], start: Start) -> None:
    client, _ = start(issue())
    with pytest.raises(ConfigurationError, match="needs a login") as caught:
        client.credential_pool(**given)
    assert "store" in caught.value.errors


@pytest.mark.parametrize("entries", [0, -1, 1.5, True, "10"])
def test_rejects_an_invalid_bound(entries: Any, start: Start) -> None:
    client, _ = start(issue())
    with pytest.raises(ConfigurationError, match="entries"):
        client.credential_pool(**SECRET, entries=entries)


def test_invalidating_a_token_affects_its_name_only(start: Start) -> None:
    client, server = start(issue())
    pool = client.credential_pool(**SECRET)
    old, other = pool.token("a"), pool.token("b")
    pool.invalidate("a", old)
    assert pool.token("a").access_token == "at-3"
    assert pool.token("b") is other
    assert len(server.requests) == 3


def test_does_not_drop_an_unsaved_token(start: Start) -> None:
    client, server = start(issue())
    store = FaultyStore()
    pool = client.credential_pool(**SECRET, store=store, entries=1)
    store.full = True
    with pytest.raises(StoreSaveError):
        pool.token("a")
    with pytest.raises(StoreSaveError, match="pool is full"):
        pool.token("b")
    store.full = False
    assert pool.token("a").access_token == "at-1"
    assert pool.token("b").access_token == "at-2"
    assert len(server.requests) == 2


def test_drops_a_refreshing_credential_last(start: Start, clock: Clock) -> None:
    gate = Gate()
    client, server = start(gate)
    pool = client.credential_pool(**DEVICE, store=MemoryStore(), entries=2)
    for number, name in enumerate("ab"):
        pool.credential(name).accept(token(number))
    clock.step(3560)
    pool.token("a")
    gate.wait()
    busy = pool.credential("a")
    pool.credential("c")
    assert pool.credential("a") is busy
    gate.opened.set()
    wait_for_refreshes()
    assert len(pool) == 2
    assert len(server.requests) == 1


def test_drops_a_refreshing_credential_rather_than_reject_a_caller(
    start: Start, clock: Clock
) -> None:
    gate = Gate()
    client, server = start(gate)
    pool = client.credential_pool(**DEVICE, store=MemoryStore(), entries=1)
    pool.credential("a").accept(token(9))
    clock.step(3600)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(pool.token, "a")
        gate.wait()
        pool.credential("b").accept(token(5, seconds_left=7200, expires_in=7200))
        gate.opened.set()
        assert waiting.result().access_token == "at-1"
    assert pool.token("b").access_token == "at-5"
    assert pool.token("a").refresh_token == "rt-1"
    assert len(server.requests) == 1


def test_threads_get_the_token_of_their_name_from_a_small_pool(start: Start) -> None:
    client, _ = start(issue())
    store = MemoryStore()
    pool = client.credential_pool(**DEVICE, store=store, entries=3)
    names = [f"user-{number}" for number in range(12)]
    for number, name in enumerate(names):
        pool.credential(name).accept(token(number))

    def use() -> bool:
        return all(
            pool.token(name).access_token == f"at-{number}"
            for _ in range(30)
            for number, name in enumerate(names)
        )

    assert run_together([use] * 6) == [True] * 6
    assert len(pool) <= 3
