"""Tests of the file store's default folder, file names and imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import platformdirs
import pytest

from grantway_plugins import _paths as paths
from grantway_plugins.stores.file import _format as file_format
from grantway_plugins.stores.file._store import FileStore
from tests.unmeasured import environment


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
    assert Path(paths.token_folder()) == expected


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
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(run.stdout.split())


def test_loading_a_token_does_not_import_filelock(tmp_path: Path) -> None:
    read = (
        "from grantway_plugins.stores.file._store import FileStore\n"
        f"FileStore({str(tmp_path)!r}).load('key')"
    )
    assert not {"filelock", "platformdirs", "requests", "pluggy"} & loaded_by(read)
