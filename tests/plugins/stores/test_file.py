"""Tests of the store ``file``: the contract and the missing optional library."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

import grantway
from grantway import Store
from grantway.testing import store_on_loop
from grantway.testing._kits.on_loop import StoreOnLoop
from grantway.testing._kits.processes import Opener
from grantway_plugins.stores.file._format import path_of
from grantway_plugins.stores.file._store import FileStore
from tests.plugins.stores.contract import DurableStoreContract, StoreContract


class TestFileStore(StoreContract, DurableStoreContract):
    """The contract for the store that the registry creates."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return grantway.default_registry().store("file", folder=tmp_path / "tokens")

    @pytest.fixture
    def reopen(self, tmp_path: Path) -> Opener:
        return partial(FileStore, tmp_path / "tokens")

    @pytest.fixture
    def corrupt(self, tmp_path: Path) -> Callable[[str, bytes], None]:
        def write(key: str, data: bytes) -> None:
            Path(path_of(str(tmp_path / "tokens"), key)).write_bytes(data)

        return write


class TestFileStoreOnLoop(StoreContract):
    """The contract for an event loop, which calls the store in threads."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[StoreOnLoop]:
        with store_on_loop(FileStore(tmp_path / "tokens")) as store:
            yield store


def test_locking_without_filelock_names_the_extra_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FileStore(tmp_path)
    monkeypatch.setitem(sys.modules, "filelock", None)
    with (
        pytest.raises(grantway.ConfigurationError, match=r"pip install 'grantway\[file\]'"),
        store.lock("key", 1),
    ):
        pass
