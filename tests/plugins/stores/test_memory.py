"""The store ``memory``, found by name as anybody's store would be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

import grantway
from grantway import Store, Token
from grantway_plugins.stores.memory import MemoryStore
from tests.plugins.stores.contract import StoreContract


class TestMemoryStore(StoreContract):
    """The contract, kept by the store that the registry makes."""

    @pytest.fixture
    def store(self) -> Store:
        return grantway.default_registry().store("memory")


def test_it_is_bounded_and_forgets_what_was_unused_for_longest() -> None:
    store = MemoryStore(entries=3)
    for key in "abc":
        store.save(key, Token(key))
    store.load("a")
    store.save("d", Token("d"))
    assert len(store) == 3
    assert [store.load(key) is not None for key in "abcd"] == [True, False, True, True]


@pytest.mark.parametrize("entries", [0, -1, 1.5, "many", True, None])
def test_a_size_that_cannot_be_is_named(entries: Any) -> None:
    with pytest.raises(grantway.ConfigurationError, match="entries") as refused:
        grantway.default_registry().store("memory", entries=entries)
    assert list(refused.value.errors) == ["entries"]


def test_a_store_that_nobody_brings_lists_those_that_are_there() -> None:
    with pytest.raises(grantway.ConfigurationError, match=r"'keyring'.*memory") as refused:
        grantway.default_registry().store("keyring")
    assert list(refused.value.errors) == ["store"]


def plugin(stores: Mapping[str, Callable[..., Any]]) -> SimpleNamespace:
    @grantway.hookimpl
    def grantway_register_stores() -> Mapping[str, Callable[..., Any]]:
        return stores

    return SimpleNamespace(grantway_register_stores=grantway_register_stores)


def test_a_plugins_store_is_made_with_its_options() -> None:
    registry = grantway.build_registry({"mine": plugin({"small": MemoryStore})})
    store = registry.store("small", entries=1)
    assert isinstance(store, MemoryStore)
    assert "of 1 entries" in repr(store)


def test_what_cannot_make_a_store_is_refused() -> None:
    broken: Any = MemoryStore()
    registry = grantway.build_registry({"mine": plugin({"small": broken})})
    (status,) = [each for each in registry.plugins if each.name == "mine"]
    assert (status.state, "cannot be called" in status.reason) == ("failed", True)
    assert "small" not in registry.stores


def test_a_name_that_is_taken_stays_with_grantway() -> None:
    with pytest.raises(grantway.GrantConflictError, match="'memory'"):
        grantway.build_registry({"mine": plugin({"memory": MemoryStore})})
