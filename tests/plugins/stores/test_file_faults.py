"""Tests of the store ``file`` with disk errors, bad permissions, corrupt files and kills."""

from __future__ import annotations

import errno
import os
import resource
import signal
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from grantway import Store, Token
from grantway._exceptions import StoreError, StoreSaveError, StoreUnreadableError
from grantway.testing._kits import peers
from grantway.testing._kits.processes import peer
from grantway_plugins.stores.file import _store as module
from grantway_plugins.stores.file._format import path_of
from grantway_plugins.stores.file._store import FileStore
from tests.plugins.stores.contract import LOCK_WAIT, MARK, WHOLE, shown

OLD = Token("at-old", refresh_token="rt-old")
NOBODY = 65534


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "tokens"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def report(act: Callable[[], object]) -> tuple[str, str, bool]:
    """Return the error's class, its message, and whether it contains a secret."""
    try:
        act()
    except StoreError as error:
        return type(error).__name__, str(error), MARK in shown(error)
    return "", "", False


# --- The disk ----------------------------------------------------------------------------------


def save_past_the_limit(store: Store, line: Connection) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, 20))
    line.send(report(lambda: store.save("key", WHOLE)))


def test_a_file_size_limit_keeps_the_previous_token(folder: Path) -> None:
    store = FileStore(folder)
    store.save("key", OLD)
    before = names(folder)
    with peer(save_past_the_limit, partial(FileStore, folder)) as limited:
        kind, message, secret = limited.receive()
    assert (kind, secret) == ("StoreSaveError", False)
    assert path_of(str(folder), "key") in message
    assert "ulimit -f" in message
    assert (store.load("key"), names(folder)) == (OLD, before)


@pytest.mark.parametrize("call", ["fsync", "mkstemp", "replace"])
@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "free some disk space"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "writable file system"),
        (errno.EIO, "check the disk"),
        (errno.ENXIO, "choose another folder"),
    ],
)
def test_a_disk_error_keeps_the_previous_token(
    folder: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int, advice: str
) -> None:
    def refuse(*args: Any, **options: Any) -> None:
        raise OSError(number, os.strerror(number))

    store = FileStore(folder)
    store.save("key", OLD)
    before = names(folder)
    home = {"fsync": os, "mkstemp": tempfile, "replace": Path}[call]
    with monkeypatch.context() as patched:
        patched.setattr(home, call, refuse)
        with pytest.raises(StoreSaveError, match=advice) as rejected:
            store.save("key", WHOLE)
    assert os.strerror(number) in str(rejected.value)
    assert path_of(str(folder), "key") in str(rejected.value)
    assert MARK not in shown(rejected.value)
    assert (store.load("key"), names(folder)) == (OLD, before)
    store.save("key", WHOLE)
    assert store.load("key") == WHOLE


# --- The folder --------------------------------------------------------------------------------


def try_all_as_nobody(store: Store, line: Connection) -> None:
    def lock() -> None:
        with store.lock("key", LOCK_WAIT):
            pass

    import filelock  # noqa: F401, PLC0415 - the user `nobody` may lack read access

    if os.geteuid() == 0:
        os.setuid(NOBODY)  # permissions do not apply to root
    acts: list[Callable[[], object]] = [
        lambda: store.save("key", WHOLE),
        lambda: store.load("key"),
        lambda: store.delete("key"),
        lock,
    ]
    line.send([report(act) for act in acts])


@pytest.fixture
def shut() -> Iterator[Path]:
    """A folder with a token and mode 0."""
    with tempfile.TemporaryDirectory() as above:
        Path(above).chmod(0o755)
        folder = Path(above, "tokens")
        FileStore(folder).save("key", OLD)
        folder.chmod(0)
        yield folder
        folder.chmod(0o700)


def test_reports_a_folder_without_permission(shut: Path) -> None:
    with peer(try_all_as_nobody, partial(FileStore, shut)) as other:
        seen = other.receive()
    assert [kind for kind, _, _ in seen] == [
        "StoreSaveError",
        "StoreUnreadableError",
        "StoreError",
        "StoreUnreadableError",
    ]
    for _, message, secret in seen:
        assert str(shut) in message
        assert "Permission denied; get permission to use it" in message
        assert not secret
    shut.chmod(0o700)
    assert FileStore(shut).load("key") == OLD


def test_reports_a_file_in_place_of_the_folder(folder: Path) -> None:
    folder.write_text("not a folder")
    store = FileStore(folder)
    for act, kind in (
        (lambda: store.save("key", WHOLE), StoreSaveError),
        (lambda: store.load("key"), StoreUnreadableError),
        (lambda: store.delete("key"), StoreError),
        (lambda: store.lock("key", LOCK_WAIT).__enter__(), StoreUnreadableError),
    ):
        with pytest.raises(kind, match="a file exists where") as rejected:
            act()
        assert str(folder) in str(rejected.value)
        assert MARK not in shown(rejected.value)
    assert folder.read_text() == "not a folder"


def test_reports_a_folder_in_place_of_the_file(folder: Path) -> None:
    store = FileStore(folder)
    Path(path_of(str(folder), "key")).mkdir(parents=True)
    with pytest.raises(StoreSaveError, match="a folder exists where"):
        store.save("key", WHOLE)
    with pytest.raises(StoreUnreadableError, match="a folder exists where"):
        store.load("key")
    assert len(names(folder)) == 1


def check_past_the_limit(store: FileStore, line: Connection) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, 20))
    line.send(report(lambda: store.check_writable("key", WHOLE)))


def test_check_writable_reports_that_a_save_would_fail(folder: Path) -> None:
    store = FileStore(folder)
    store.save("key", OLD)
    before = names(folder)
    store.check_writable("key", WHOLE)
    assert names(folder) == before
    with peer(check_past_the_limit, partial(FileStore, folder)) as limited:
        kind, message, secret = limited.receive()
    assert (kind, secret) == ("StoreSaveError", False)
    assert path_of(str(folder), "key") in message
    assert (store.load("key"), names(folder)) == (OLD, before)


def test_loading_and_deleting_create_no_folder(folder: Path) -> None:
    store = FileStore(folder)
    assert store.load("key") is None
    store.delete("key")
    assert not folder.exists()


def test_follows_a_symbolic_link_to_the_folder(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    folder.symlink_to(tmp_path / "real", target_is_directory=True)
    store = FileStore(folder)
    with store.lock("key", LOCK_WAIT):
        store.save("key", WHOLE)
    assert FileStore(tmp_path / "real").load("key") == WHOLE


def test_files_are_private_from_the_first_byte(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def look(handle: int, fsync: Callable[[int], None] = os.fsync) -> None:
        seen.extend(stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir())
        fsync(handle)

    monkeypatch.setattr(os, "fsync", look)
    mask = os.umask(0)
    try:
        store = FileStore(folder)
        with store.lock("key", LOCK_WAIT):
            store.save("key", WHOLE)
    finally:
        os.umask(mask)
    assert set(seen) == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


# --- Corrupt files -----------------------------------------------------------------------------


def test_sets_a_corrupt_file_aside_with_mode_0600(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = FileStore(folder)
    store.save("key", OLD)
    path = Path(path_of(str(folder), "key"))
    for number in range(2):
        path.write_bytes(b"half of " + MARK.encode() + b"%d" % number)
        path.chmod(0o644)
        assert store.load("key") is None
    aside = sorted(folder.glob("*.corrupt-*"))
    assert [each.read_bytes()[-1:] for each in aside] == [b"0", b"1"]
    for each, record in zip(aside, caplog.records, strict=True):
        assert stat.S_IMODE(each.stat().st_mode) == 0o600
        assert (record.name, record.levelname) == ("grantway", "WARNING")
        assert str(path) in record.getMessage()
        assert each.name in record.getMessage()


def test_restores_a_valid_file_saved_during_the_rename(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = FileStore(folder)
    store.save("key", OLD)
    Path(path_of(str(folder), "key")).write_bytes(b"half")

    def another_saves_now(data: bytes) -> bool:
        FileStore(folder).save("key", WHOLE)
        return False

    monkeypatch.setattr(module, "is_newer_format", another_saves_now)
    assert store.load("key") == WHOLE
    assert store.load("key") == WHOLE
    assert (len(names(folder)), caplog.records) == (1, [])


def test_reports_a_corrupt_file_that_cannot_be_set_aside(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    store = FileStore(folder)
    store.save("key", OLD)
    Path(path_of(str(folder), "key")).write_bytes(MARK.encode())
    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(StoreUnreadableError, match="could not be set aside") as rejected:
        store.load("key")
    assert MARK not in shown(rejected.value)


# --- Writers that are killed -------------------------------------------------------------------


def killed_before_line(number: int, store: FileStore, token: Token) -> bool:
    """Save in a fork that is killed before a numbered line; return False if it completed."""
    child = os.fork()
    if child == 0:
        left = number

        def trace(frame: FrameType, event: str, argument: object) -> Any:
            nonlocal left
            if event == "line" and frame.f_code.co_filename in (module.__file__, tempfile.__file__):
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            return trace

        status = 1
        try:
            sys.settrace(trace)
            store.save("key", token)
            status = 0
        finally:
            os._exit(status)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert ended in (0, -signal.SIGKILL)
    return ended != 0


@pytest.mark.slow
def test_a_writer_killed_at_any_line_leaves_a_complete_token(folder: Path) -> None:
    store = FileStore(folder)
    store.save("key", OLD)
    found = [store.load("key")]
    while killed_before_line(len(found), store, WHOLE):
        found.append(store.load("key"))
    moved = found.index(WHOLE)
    assert moved > 10
    assert found == [OLD] * moved + [WHOLE] * (len(found) - moved)
    assert len(found) - moved > 3
    left = list(folder.glob("*.tmp"))
    assert left
    # Old temporary files are removed; recent ones may still be in use.
    long_ago = time.time() - 7200
    for path in left[1:]:
        os.utime(path, (long_ago, long_ago))
    FileStore(folder).save("key", OLD)
    assert list(folder.glob("*.tmp")) == left[:1]


def test_writers_killed_at_any_moment_leave_a_complete_token(folder: Path) -> None:
    store = FileStore(folder)
    whole = [peers.long_token(letter) for letter in "ab"]
    store.save("key", whole[0])
    for number in range(10):
        with peer(peers.write, partial(FileStore, folder)) as writer:
            writer.send("ab"[number % 2])
            writer.receive()
            for _ in range(number * 7):
                assert store.load("key") in whole
            writer.kill()
        assert store.load("key") in whole
    assert not list(folder.glob("*.corrupt-*"))
