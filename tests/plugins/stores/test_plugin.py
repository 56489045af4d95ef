"""Tests of the registration of built-in and third-party stores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

import grantway
from grantway_plugins.stores import _plugin as ours
from grantway_plugins.stores.memory._store import MemoryStore


def plugin(stores: Mapping[str, Callable[..., Any]]) -> SimpleNamespace:
    @grantway.hookimpl
    def grantway_register_stores() -> Mapping[str, Callable[..., Any]]:
        return stores

    return SimpleNamespace(grantway_register_stores=grantway_register_stores)


def test_registers_every_built_in_store() -> None:
    assert set(grantway.default_registry().stores) >= {
        "memory",
        "file",
        "aws-cli",
        "keyring",
        "redis",
        "sql",
        "encrypted",
    }


def test_a_missing_library_names_the_extra_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(ours._STORES, "lost", ("no_such_module", "LostStore", "lost"))
    factory = ours.grantway_register_stores()["lost"]
    with pytest.raises(
        grantway.ConfigurationError, match=r"'lost'.*pip install 'grantway\[lost\]'"
    ):
        factory()


def test_an_unknown_store_lists_the_available_ones() -> None:
    with pytest.raises(grantway.ConfigurationError, match=r"'floppy'.*file.*memory") as rejected:
        grantway.default_registry().store("floppy")
    assert list(rejected.value.errors) == ["store"]


def test_creates_a_plugins_store_with_its_options() -> None:
    registry = grantway.build_registry({"mine": plugin({"small": MemoryStore})})
    store = registry.store("small", entries=1)
    assert isinstance(store, MemoryStore)
    assert "of 1 entries" in repr(store)


def test_rejects_a_store_factory_that_is_not_callable() -> None:
    broken: Any = MemoryStore()
    registry = grantway.build_registry({"mine": plugin({"small": broken})})
    (status,) = [each for each in registry.plugins if each.name == "mine"]
    assert (status.state, "cannot be called" in status.reason) == ("failed", True)
    assert "small" not in registry.stores


def test_rejects_a_plugin_that_reuses_a_built_in_name() -> None:
    with pytest.raises(grantway.GrantConflictError, match="'memory'"):
        grantway.build_registry({"mine": plugin({"memory": MemoryStore})})
