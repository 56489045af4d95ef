"""Tests of the fast reader for stored tokens: same paths and fields as the store, few imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import platformdirs
import pytest

from grantway import Token
from grantway._credentials.token_format import VERSION, encode_token
from grantway_plugins import _paths as paths
from grantway_plugins.stores.file import _format as file_format
from grantway_plugins.stores.file._store import FileStore

TOKEN = Token("at", expires_at=1e9, refresh_token="rt", scope=("read",))


def test_peek_finds_a_saved_token(tmp_path: Path) -> None:
    FileStore(tmp_path).save("key", TOKEN)
    assert file_format.peek(str(tmp_path), "key") == {
        "version": VERSION,
        "access_token": "at",
        "token_type": "Bearer",
        "expires_at": 1e9,
        "refresh_token": "rt",
        "scope": ["read"],
    }


@pytest.mark.parametrize(
    "data",
    [b"", b"half", b"[1]", b"\xff", b"[" * 200_000, encode_token(TOKEN).replace(b":1,", b":2,", 1)],
    ids=["empty", "half", "list", "no text", "deep", "a later version"],
)
def test_peek_returns_none_for_records_it_cannot_read(tmp_path: Path, data: bytes) -> None:
    assert file_format.peek(str(tmp_path), "key") is None
    Path(file_format.path_of(str(tmp_path), "key")).write_bytes(data)
    assert file_format.peek(str(tmp_path), "key") is None
    assert file_format.peek(str(tmp_path / "nowhere"), "key") is None


@pytest.mark.parametrize("state", [None, "", "  ", "relative", "/srv/state"])
@pytest.mark.parametrize("linux", [True, False])
def test_the_default_folder_matches_platformdirs(
    monkeypatch: pytest.MonkeyPatch, state: str | None, linux: bool
) -> None:
    if state is None:
        monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    else:
        monkeypatch.setenv("XDG_STATE_HOME", state)
    monkeypatch.setattr(paths, "_LINUX", linux)
    expected = platformdirs.user_state_path("grantway") / "tokens"
    assert Path(file_format.default_folder()) == expected


def test_the_store_uses_the_default_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert repr(FileStore()) == f"FileStore('{tmp_path}/grantway/tokens')"


def test_file_names_are_safe_and_differ_beyond_case(tmp_path: Path) -> None:
    keys = ["a", "A", "a/b", "", "../a", "CON", "a" * 5000, "\ud800"]
    paths = {file_format.path_of(str(tmp_path), key).lower() for key in keys}
    assert len(paths) == len(keys)
    assert {Path(path).parent for path in paths} == {Path(str(tmp_path).lower())}


def loaded_by(code: str) -> set[str]:
    run = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(run.stdout.split())


def test_peek_imports_few_modules(tmp_path: Path) -> None:
    FileStore(tmp_path).save("key", TOKEN)
    look = (
        "from grantway_plugins.stores.file._format import default_folder, peek\n"
        "default_folder()\n"
        f"assert peek({str(tmp_path)!r}, 'key')"
    )
    new = loaded_by(look) - loaded_by("")
    assert "_json" in new
    heavy = {
        "json",
        "re",
        "typing",
        "pathlib",
        "dataclasses",
        "logging",
        "tempfile",
        "platformdirs",
        "filelock",
    }
    assert not heavy & new
    assert {name for name in new if name.startswith("grantway")} == {
        "grantway",
        "grantway._lazy",
        "grantway_plugins",
        "grantway_plugins._paths",
        "grantway_plugins.stores",
        "grantway_plugins.stores.file",
        "grantway_plugins.stores.file._format",
    }


def test_loading_a_token_does_not_import_filelock(tmp_path: Path) -> None:
    read = (
        "from grantway_plugins.stores.file._store import FileStore\n"
        f"FileStore({str(tmp_path)!r}).load('key')"
    )
    assert not {"filelock", "platformdirs", "requests", "pluggy"} & loaded_by(read)
