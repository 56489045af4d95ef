"""Tests of ``grantway new-plugin`` and the package that it writes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import grantway
from grantway_plugins.cli.app import app
from grantway_plugins.cli.new_plugin import LONGEST, TEMPLATE, files

NAME = "acme-coupons"


def new_plugin(*arguments: str | Path) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["new-plugin", *map(str, arguments)])
    return done.exit_code, done.output


def test_writes_a_package_and_prints_the_next_steps(tmp_path: Path) -> None:
    status, shown = new_plugin(NAME, "--into", tmp_path)
    assert status == 0, shown
    made = tmp_path / NAME
    expected = {
        *("README.md", "pyproject.toml", "src/acme_coupons/__init__.py"),
        *("src/acme_coupons/grant.py", "src/acme_coupons/issuer.py", "src/acme_coupons/plugin.py"),
        *("src/acme_coupons/py.typed", "tests/test_grant.py", "tests/test_issuer.py"),
    }
    written = {p.relative_to(made).as_posix() for p in made.rglob("*") if p.is_file()}
    assert written == expected
    for path in expected:
        assert str(made / path) in shown
    assert "pip install -e '.[test]'\n  pytest" in shown


def test_replaces_every_name_of_the_template() -> None:
    for path, text in files(NAME):
        assert not re.search("example.grant", f"{path}{text}", re.IGNORECASE), path
    assert f"grantway>={grantway.__version__}" in dict(files(NAME))[Path("pyproject.toml")]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Acme Coupons", "such as acme-coupons."),
        ("acme_coupons", "such as acme-coupons."),
        ("-", "such as acme-coupons."),
        ("../acme", "such as acme."),
        ("acme--coupons", "such as acme-coupons."),
        ("2fast", "such as fast."),
        ("käse", "lower-case letters"),
        ("a" * (LONGEST + 1), "at most 40 characters"),
        ("json", "such as json-grant."),
        ("grantway", "already has a module called grantway"),
        ("class", "already has a module called class"),
        ("tests", "already has a module called tests"),
    ],
)
def test_rejects_an_invalid_name(name: str, expected: str, tmp_path: Path) -> None:
    status, shown = new_plugin("--into", tmp_path, "--", name)
    assert status == 1
    assert expected in shown
    assert list(tmp_path.iterdir()) == []


def test_leaves_a_folder_that_is_not_empty_unchanged(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    (tmp_path / NAME / ".keep").write_text("mine")
    status, shown = new_plugin(NAME, "--into", tmp_path)
    assert (status, "already exists and is not empty; nothing was changed" in shown) == (1, True)
    assert [path.name for path in (tmp_path / NAME).iterdir()] == [".keep"]


def test_leaves_an_existing_file_unchanged(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("mine")
    assert new_plugin(NAME, "--into", tmp_path)[0] == 1
    assert (tmp_path / NAME).read_text() == "mine"


def test_uses_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    assert new_plugin(NAME, "--into", tmp_path)[0] == 0


def test_reports_a_folder_that_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    status, shown = new_plugin(NAME, "--into", tmp_path / "file" / "below")
    assert status == 1
    assert "Cannot write" in shown
    assert "Traceback" not in shown


def run(folder: Path, *command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["a", NAME, "z-" + "a" * (LONGEST - 2)])
def test_the_package_passes_ruff_with_any_name(name: str, tmp_path: Path) -> None:
    assert new_plugin(name, "--into", tmp_path)[0] == 0
    run(tmp_path / name, "ruff", "check", "--no-cache", ".")
    run(tmp_path / name, "ruff", "format", "--no-cache", "--check", ".")


@pytest.mark.slow
def test_the_package_passes_mypy_strict(tmp_path: Path) -> None:
    assert new_plugin(NAME, "--into", tmp_path)[0] == 0
    run(tmp_path / NAME, "mypy", "--cache-dir", os.devnull)


def test_writes_every_file_of_the_template() -> None:
    there = [
        path
        for path in TEMPLATE.rglob("*")
        if path.is_file() and not {"__pycache__", ".ruff_cache"} & set(path.parts)
    ]
    assert len(there) == len(list(files(NAME)))
