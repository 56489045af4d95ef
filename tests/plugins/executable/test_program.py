"""Finding programs, and rejecting those that another user could change."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from grantway import ConfigurationError
from grantway_plugins.executable import Command
from grantway_plugins.executable._program import locate
from tests.plugins.executable.programs import SETTING, script


def _problem(name: str | Path, folder: Path | None = None) -> str:
    with pytest.raises(ConfigurationError) as caught:
        locate(str(name), folder, SETTING)
    message = str(caught.value)
    assert message.startswith(f"{SETTING}: {name}")
    return message


def test_rejects_a_missing_program(tmp_path: Path) -> None:
    assert "does not exist; correct the path" in _problem(tmp_path / "corp-token")


def test_rejects_a_name_that_is_not_in_path() -> None:
    assert "is not in PATH; install it" in _problem("corp-token-that-is-not-installed")


def test_rejects_programs_on_windows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(ConfigurationError, match="supported on Linux, macOS"):
        locate(str(script(tmp_path, "echo")), None, SETTING)


def test_rejects_a_folder(tmp_path: Path) -> None:
    assert "is not a file" in _problem(tmp_path)


def test_rejects_a_loop_of_links(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert "correct the path" in _problem(tmp_path / "loop")


def test_rejects_a_program_that_is_not_executable(tmp_path: Path) -> None:
    path = script(tmp_path, "echo")
    path.chmod(0o644)
    assert f"is not executable; run: chmod u+x {path}" in _problem(path)


@pytest.mark.parametrize("mode", [0o775, 0o757])
def test_rejects_a_program_that_others_may_write(tmp_path: Path, mode: int) -> None:
    path = script(tmp_path, "echo")
    path.chmod(mode)
    assert f"is writable by other users, who could replace it; run: chmod go-w {path}" in _problem(
        path
    )


def test_checks_the_program_that_a_link_names(tmp_path: Path) -> None:
    path = script(tmp_path, "echo")
    (tmp_path / "link").symlink_to(path)
    assert locate(str(tmp_path / "link"), None, SETTING) == str(tmp_path / "link")
    path.chmod(0o777)
    assert f"chmod go-w {path}" in _problem(tmp_path / "link")


def test_rejects_a_folder_that_all_users_may_write(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    path = script(folder, "echo")
    folder.chmod(0o777)
    assert f"run: chmod o-w {folder}" in _problem(path)
    folder.chmod(0o1777)  # as /tmp: only owners may replace their files
    assert locate(str(path), None, SETTING) == str(path)


def test_checks_every_folder_on_the_way(tmp_path: Path) -> None:
    shared, private = tmp_path / "shared", tmp_path / "private"
    for folder in (shared / "own", private / "own"):
        folder.mkdir(parents=True)
    program = script(private, "echo")
    shared.chmod(0o777)
    (shared / "link").symlink_to(program)
    (private / "link").symlink_to("../shared/link")
    (shared / "folder").symlink_to(private)
    (private / "folder").symlink_to(shared / "folder")
    below = script(shared / "own", "echo")
    for path in (below, private / "link", private / "folder" / "corp-token"):
        assert f"run: chmod o-w {shared}" in _problem(path)


def test_runs_the_program_that_it_checked(tmp_path: Path) -> None:
    (tmp_path / "real" / "below").mkdir(parents=True)
    script(tmp_path, "echo another")
    script(tmp_path / "real", "echo checked")
    (tmp_path / "link").symlink_to(tmp_path / "real" / "below")
    finished = Command((f"{tmp_path}/link/../corp-token",)).run(None)
    assert finished.stdout == b"checked\n"


def test_rejects_a_program_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = script(tmp_path, "echo")
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    if path.stat().st_uid == 0:
        os.chown(path, 4321, -1)
    assert "belongs to another user" in _problem(path)


def test_a_relative_path_starts_at_the_folder_of_the_file(tmp_path: Path) -> None:
    path = script(tmp_path, "echo")
    assert locate("./corp-token", tmp_path, SETTING) == str(path)


def test_looks_a_bare_name_up_in_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = script(tmp_path, "echo")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert locate("corp-token", None, SETTING) == str(path)


@pytest.mark.parametrize(
    ("first", "problem"),
    [
        ("echo hi", "start a script with a line such as #!/bin/sh"),
        ("#!/no/such/interpreter", "check the first line of the script"),
    ],
)
def test_names_a_script_that_the_system_cannot_start(
    tmp_path: Path, first: str, problem: str
) -> None:
    path = script(tmp_path, "")
    path.write_text(f"{first}\n")
    with pytest.raises(ConfigurationError, match=problem):
        Command((str(path),), setting=SETTING).run({})


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"command": "corp-token --now"}, "must be a list of texts"),
        ({"command": []}, "must be a list of texts"),
        ({"command": [""]}, "must be a list of texts"),
        ({"command": ["a\0b"]}, "must be a list of texts"),
        ({"command": ["\ud800"]}, "must be a list of texts"),
        ({"command": ["a", 1]}, "must be a list of texts"),
        ({"command": ["a"], "environment": "AWS_PROFILE"}, "environment: must be a list"),
        ({"command": ["a"], "timeout": 0}, "timeout: must be a number of seconds"),
        ({"command": ["a"], "timeout": 601}, "timeout: must be a number of seconds"),
        ({"command": ["a"], "lifetime": -1}, "lifetime: must be a number of seconds"),
        ({"command": ["a"], "output": "yaml"}, "must be one of grantway, text, exec-credential"),
    ],
)
def test_rejects_invalid_settings(options: dict[str, object], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        Command(**options)  # type: ignore[arg-type]
