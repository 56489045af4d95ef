"""The tests of the stores in ``folder_stores``; see ``test_kits``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest

from grantway.testing import DurableStoreTests
from tests.core.testing import folder_stores


class Case(DurableStoreTests):
    """The tests of one store. ``fails`` are the tests that find its mistake."""

    patience = 0.5
    released_within = 0.5
    fails: ClassVar[set[str]] = set()
    Kind: ClassVar[type[Any]] = folder_stores.FolderStore

    @pytest.fixture
    def reopen(self, tmp_path: Path) -> Callable[[], Any]:
        return partial(self.Kind, tmp_path)

    @pytest.fixture
    def store(self, reopen: Callable[[], Any]) -> Any:
        return reopen()

    @pytest.fixture
    def corrupt(self, tmp_path: Path) -> Callable[[str, bytes], object]:
        return lambda key, data: folder_stores.FolderStore(tmp_path).path(key).write_bytes(data)


class Correct(Case):
    patience = 30.0
    released_within = 5.0


class BrokenMemory(Case):
    Kind = folder_stores.ProcessStore

    fails: ClassVar = {
        "test_another_instance_sees_saves_and_deletes",
        "test_another_process_sees_saves_and_deletes",
    }


class BrokenLock(Case):
    Kind = folder_stores.LockStore

    fails: ClassVar = {
        "test_the_lock_excludes_another_instance",
        "test_the_lock_excludes_another_process",
        "test_no_update_made_under_the_lock_is_lost",
    }


class BrokenLockFile(Case):
    Kind = folder_stores.LockFileStore

    fails: ClassVar = {"test_the_lock_of_a_killed_holder_becomes_free"}


class BrokenWrite(Case):
    Kind = folder_stores.WriteStore

    fails: ClassVar = {
        "test_concurrent_writers_never_mix_tokens",
        "test_a_killed_writer_leaves_a_complete_token",
    }


class BrokenDamage(Case):
    Kind = folder_stores.DamageStore

    fails: ClassVar = {
        "test_a_corrupt_record_is_reported_and_replaceable",
        "test_leaves_a_record_of_a_newer_version_unchanged",
    }


class BrokenMessage(Case):
    Kind = folder_stores.MessageStore

    fails: ClassVar = {"test_a_corrupt_record_is_reported_and_replaceable"}


class BrokenUpgrade(Case):
    Kind = folder_stores.UpgradeStore

    fails: ClassVar = {"test_leaves_a_record_of_a_newer_version_unchanged"}
