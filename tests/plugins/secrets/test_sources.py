"""The built-in secret sources."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked

import grantway
from grantway import SecretUnavailableError
from grantway.testing import ChangingSecretSourceTests, SecretSourceTests
from grantway_plugins.secrets import EnvironmentSecret, FileSecret, KeyringSecret
from tests.plugins.stores.rings import DiskRing

VALUE = "s3cr3t-0123456789"
Change = Callable[[str | None], None]


def problem(source: grantway.SecretSource) -> str:
    with pytest.raises(SecretUnavailableError) as caught:
        source.read()
    assert VALUE not in str(caught.value)
    return str(caught.value)


class TestEnvironmentSecret(ChangingSecretSourceTests):
    """``env``."""

    @pytest.fixture
    def source(self, monkeypatch: pytest.MonkeyPatch) -> EnvironmentSecret:
        monkeypatch.setenv("GRANTWAY_TEST_SECRET", VALUE)
        return EnvironmentSecret("GRANTWAY_TEST_SECRET")

    @pytest.fixture
    def unavailable(self) -> EnvironmentSecret:
        return EnvironmentSecret("GRANTWAY_TEST_NO_SECRET")

    @pytest.fixture
    def change(self, monkeypatch: pytest.MonkeyPatch) -> Change:
        def change(value: str | None) -> None:
            if value is None:
                monkeypatch.delenv("GRANTWAY_TEST_SECRET")
            else:
                monkeypatch.setenv("GRANTWAY_TEST_SECRET", value)

        return change


class TestFileSecret(ChangingSecretSourceTests):
    """``file``, replaced by a rename."""

    @pytest.fixture
    def source(self, tmp_path: Path) -> FileSecret:
        (tmp_path / "secret").write_text(VALUE)
        return FileSecret(tmp_path / "secret")

    @pytest.fixture
    def unavailable(self, tmp_path: Path) -> FileSecret:
        return FileSecret(tmp_path / "missing")

    @pytest.fixture
    def change(self, tmp_path: Path) -> Change:
        def change(value: str | None) -> None:
            if value is None:
                (tmp_path / "secret").unlink()
            else:
                (tmp_path / "new").write_text(value)
                (tmp_path / "new").replace(tmp_path / "secret")

        return change


class TestFileSecretOfKubernetes(TestFileSecret):
    """``file``, replaced by a symbolic link to another folder, as the kubelet does."""

    @pytest.fixture
    def source(self, tmp_path: Path, change: Change) -> FileSecret:
        (tmp_path / "secret").symlink_to("..data/secret")
        change(VALUE)
        return FileSecret(tmp_path / "secret")

    @pytest.fixture
    def change(self, tmp_path: Path) -> Change:
        folders = iter(range(100))

        def change(value: str | None) -> None:
            folder = tmp_path / f"..{next(folders)}"
            folder.mkdir()
            if value is not None:
                (folder / "secret").write_text(value)
                os.utime(folder / "secret", (0, 0))  # only the inode differs
            (tmp_path / "..data_tmp").symlink_to(folder.name)
            (tmp_path / "..data_tmp").replace(tmp_path / "..data")

        return change


class TestKeyringSecret(SecretSourceTests):
    """``keyring``."""

    @pytest.fixture
    def source(self, ring: KeyringBackend) -> KeyringSecret:
        ring.set_password("grantway-tests", "app", VALUE)
        return KeyringSecret("grantway-tests", "app")

    @pytest.fixture
    def unavailable(self, ring: KeyringBackend) -> KeyringSecret:
        return KeyringSecret("grantway-tests", "other")


@pytest.fixture
def ring(tmp_path: Path) -> Iterator[KeyringBackend]:
    before = keyring.get_keyring()
    made = DiskRing(tmp_path / "ring.db")
    keyring.set_keyring(made)
    yield made
    keyring.set_keyring(before)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "the environment variable GRANTWAY_TEST_SECRET is not set; set it"),
        ("", "the environment variable GRANTWAY_TEST_SECRET is empty; set it to the secret"),
    ],
)
def test_says_what_is_wrong_with_a_variable(
    value: str | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if value is not None:
        monkeypatch.setenv("GRANTWAY_TEST_SECRET", value)
    assert problem(EnvironmentSecret("GRANTWAY_TEST_SECRET")) == expected


def test_ignores_spaces_and_a_byte_order_mark_around_the_secret_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"\xef\xbb\xbf" + VALUE.encode() + b" \r\n")
    assert FileSecret(path).read().value == VALUE


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b" \n", "is empty; write the secret into it"),
        (b"\xff" + VALUE.encode(), "is not UTF-8; save it as UTF-8"),
        (b"x" * 1_048_577, "is larger than 1,048,576 bytes; correct the path"),
    ],
)
def test_says_what_is_wrong_with_a_file(content: bytes, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content)
    assert problem(FileSecret(path)) == f"{path} {expected}"


def test_says_why_a_file_cannot_be_read(tmp_path: Path) -> None:
    why = "create the file, or correct the path"
    assert problem(FileSecret(tmp_path)) == f"{tmp_path} cannot be read (Is a directory); {why}"
    path = tmp_path / "missing"
    expected = f"{path} cannot be read (No such file or directory); {why}"
    assert problem(FileSecret(path)) == expected


def test_a_file_may_be_in_the_home_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "secret").write_text(VALUE)
    assert FileSecret("~/secret").read().value == VALUE


def test_says_that_the_key_ring_is_locked(
    ring: KeyringBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(service: str, username: str) -> str:
        raise KeyringLocked

    monkeypatch.setattr(ring, "get_password", locked)
    source = KeyringSecret("grantway-tests", "app")
    assert problem(source) == "the key ring raised KeyringLocked; unlock it"


def test_says_how_to_add_an_entry_to_the_key_ring(ring: KeyringBackend) -> None:
    assert problem(KeyringSecret("grantway-tests", "app")) == (
        "the key ring has no entry grantway-tests for app; to add one, run: "
        "keyring set grantway-tests app"
    )


def test_says_which_extra_the_key_ring_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert "pip install 'grantway[keyring]'" in problem(KeyringSecret("grantway-tests", "app"))


def test_a_rotated_file_is_used_for_the_next_request(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("one")
    source = grantway.default_registry().secret_source("file", path=str(path))
    assert source.read().value == "one"
    path.unlink()
    assert source.read().value == "one"  # while the file is being replaced
    path.write_text("two")
    assert source.read().value == "two"


def test_the_content_of_a_file_is_not_in_a_traceback(tmp_path: Path) -> None:
    content = b"s3cr3t-and-\xff"
    file = tmp_path / "secret"
    file.write_bytes(content)
    with pytest.raises(SecretUnavailableError) as caught:
        FileSecret(file).read()
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    inner = [each.locals or {} for each in shown.stack[1:]]
    assert inner
    assert "s3cr3t" not in str(inner)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_named_pipe_that_no_program_writes_is_empty(tmp_path: Path) -> None:
    """Waiting for one would keep the process from ending."""
    os.mkfifo(tmp_path / "secret")
    with pytest.raises(SecretUnavailableError, match="is empty"):
        FileSecret(tmp_path / "secret").read()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_reads_what_a_program_writes_into_a_pipe() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"s3cr3t\n")
    os.close(writer)
    try:
        assert FileSecret(f"/dev/fd/{reader}").read().value == "s3cr3t"
    finally:
        os.close(reader)
