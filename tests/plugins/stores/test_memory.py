"""Tests of the store ``memory``: the contract, its bound, expiry and thread locks."""

from __future__ import annotations

import os
import time
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

import grantway
from grantway import Store, Token
from grantway._exceptions import StoreLockError
from grantway.testing import store_on_loop
from grantway.testing._kits.on_loop import StoreOnLoop
from grantway_plugins.stores._shared.key_locks import ThreadLocks
from grantway_plugins.stores.memory._store import MemoryStore
from tests.plugins.stores.contract import StoreContract


class TestMemoryStore(StoreContract):
    """The contract for the store that the registry creates."""

    @pytest.fixture
    def store(self) -> Store:
        return grantway.default_registry().store("memory")


class TestMemoryStoreOnLoop(StoreContract):
    """The contract for the asynchronous methods."""

    @pytest.fixture
    def store(self) -> Iterator[StoreOnLoop]:
        with store_on_loop(MemoryStore()) as store:
            yield store


def ended(name: str, refresh_token: str | None = None) -> Token:
    return Token(name, expires_in=1, expires_at=time.time() - 1, refresh_token=refresh_token)


def test_a_full_store_removes_the_least_recently_used_token() -> None:
    store = MemoryStore(entries=3)
    for key in "abc":
        store.save(key, Token(key))
    store.load("a")
    store.save("d", Token("d"))
    assert len(store) == 3
    assert [store.load(key) is not None for key in "abcd"] == [True, False, True, True]


def test_a_large_store_is_bounded_and_keeps_the_newest_tokens() -> None:
    store = MemoryStore(entries=10_000)
    for number in range(25_000):
        store.save(f"key {number}", Token(f"at-{number}"))
    assert len(store) == 10_000
    assert repr(store) == "MemoryStore(10000 of 10000 entries)"
    kept = [n for n in range(25_000) if store.load(f"key {n}") == Token(f"at-{n}")]
    assert len(kept) == 10_000
    # Approximately in order of use, depending on how the keys are distributed over the shards.
    assert min(kept) > 25_000 - 2 * 10_000
    assert kept[-5000:] == list(range(20_000, 25_000))


@pytest.mark.slow
def test_removes_expired_tokens_in_small_steps() -> None:
    store = MemoryStore(entries=100_000)
    for number in range(20_000):
        store.save(f"old {number}", Token("at", expires_at=time.time() + 1e6))
    for number in range(20_000):  # all expire at the same time
        store.save(f"old {number}", ended("at"))
    most = 0
    for number in range(20_000):
        before = len(store)
        store.save(f"new {number}", Token("at"))
        most = max(most, before + 1 - len(store))
    assert most == 4
    assert len(store) == 20_000
    assert all(store.load(f"new {number}") for number in range(20_000))


def test_expired_tokens_do_not_accumulate() -> None:
    store = MemoryStore(entries=100_000)
    for number in range(20_000):
        store.save(f"key {number}", ended("at"))
    assert len(store) < 10


def test_keeps_a_refresh_token_after_the_access_token_expired() -> None:
    store = MemoryStore(entries=1000)
    for number in range(100):
        store.save(f"kept {number}", ended("at", f"rt-{number}"))
    for number in range(900):
        store.save(f"new {number}", Token("at"))
    assert len(store) == 1000
    assert all(store.load(f"kept {number}") for number in range(100))


def test_checking_for_expiry_does_not_count_as_use() -> None:
    store = MemoryStore(entries=3)
    for key in "abc":
        store.save(key, Token(key))
    for _ in range(5):
        store.save("c", Token("c"))
    store.save("d", Token("d"))
    assert [store.load(key) is not None for key in "abcd"] == [False, True, True, True]


def test_deleting_in_any_order_keeps_the_other_tokens() -> None:
    store = MemoryStore(entries=100)
    keys = [f"key {number}" for number in range(100)]
    for key in keys:
        store.save(key, Token(key))
    for step, start in ((7, 0), (3, 1), (1, 0)):
        for key in keys[start::step]:
            store.delete(key)
        keys = [key for number, key in enumerate(keys) if (number - start) % step or number < start]
        assert len(store) == len(keys)
        assert all(store.load(key) == Token(key) for key in keys)
    assert len(store) == 0


@pytest.mark.slow
def test_an_entry_adds_at_most_400_bytes_to_key_and_token() -> None:
    keys = [f"key {number}" for number in range(20_000)]
    tokens = [Token("at") for _ in keys]
    store = MemoryStore()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for key, token in zip(keys, tokens, strict=True):
            store.save(key, token)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (after - before) / len(keys) <= 400


@pytest.mark.parametrize("entries", [0, -1, 1.5, "many", True, None])
def test_rejects_an_invalid_size(entries: Any) -> None:
    with pytest.raises(grantway.ConfigurationError, match="entries") as rejected:
        grantway.default_registry().store("memory", entries=entries)
    assert list(rejected.value.errors) == ["entries"]


def test_the_table_contains_only_locks_in_use() -> None:
    locks = ThreadLocks()
    with locks.hold("a", 0, "here"), locks.hold("b", 0, "here"):
        with pytest.raises(StoreLockError, match="here"), locks.hold("a", 0, "here"):
            pass
        assert len(locks) == 2
    assert len(locks) == 0


def test_a_fork_ignores_locks_held_by_the_parents_threads() -> None:
    locks = ThreadLocks()
    with locks.hold("key", 0, "here"):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                with locks.hold("key", 0, "here"):
                    status = 0
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        with pytest.raises(StoreLockError), locks.hold("key", 0, "here"):
            pass
