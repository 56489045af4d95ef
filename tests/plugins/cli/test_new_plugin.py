"""Tests of ``grantway new-plugin`` and the package that it writes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import grantway
from grantway_plugins.cli.app import app
from grantway_plugins.cli.new_plugin import (
    KINDS,
    LONGEST,
    LONGEST_GRANT_TYPE,
    LONGEST_PARAMETER,
    TEMPLATE,
    NewPlugin,
)

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


@pytest.mark.parametrize("kind", KINDS)
def test_leaves_nothing_to_rename(kind: str) -> None:
    made = dict(NewPlugin(NAME, kind, "urn:acme:coupon", "coupon").files())
    for path, text in made.items():
        assert not re.search("example.(plugin|grant|parameter|desc)", f"{path}{text}"), path
    assert f"grantway>={grantway.__version__}" in made[Path("pyproject.toml")]
    assert ("urn:acme:coupon" in "".join(made.values())) is (kind == "grant")


def test_uses_the_given_grant_type_and_parameter(tmp_path: Path) -> None:
    options = ("--grant-type", "urn:acme:coupon", "--parameter", "coupon")
    assert new_plugin(NAME, *options, "--into", tmp_path)[0] == 0
    text = (tmp_path / NAME / "src/acme_coupons/grant.py").read_text()
    assert 'GRANT_TYPE = "urn:acme:coupon"' in text
    assert "coupon = Text(" in text


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--grant-type", "refresh_token"), "grantway already has this grant"),
        (("--grant-type", 'urn:acme:"'), "use a URN or URL"),
        (("--grant-type", "urn:" + "a" * LONGEST_GRANT_TYPE), "at most 80 characters"),
        (("--parameter", "Coupon"), "use lower-case letters"),
        (("--parameter", "class"), "use lower-case letters"),
        (("--parameter", "scope"), "use lower-case letters"),
        (("--parameter", "timeout"), "name of an argument of create_token"),
        (("--parameter", "a" * (LONGEST_PARAMETER + 1)), "at most 21 characters"),
        (("--store", "--grant-type", "urn:acme:coupon"), "leave it out with --store"),
        (("--auth", "--parameter", "coupon"), "leave it out with --auth"),
    ],
)
def test_rejects_an_invalid_option(options: tuple[str, ...], expected: str, tmp_path: Path) -> None:
    status, shown = new_plugin(NAME, *options, "--into", tmp_path)
    assert status != 0
    assert expected in shown
    assert list(tmp_path.iterdir()) == []


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
        ("json", "such as json-plugin."),
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


@pytest.mark.parametrize("name", ["a", NAME, "z-" + "a" * (LONGEST - 2)])
@pytest.mark.parametrize("kind", KINDS)
def test_passes_ruff_with_any_name(name: str, kind: str, tmp_path: Path) -> None:
    """``tests/typing`` runs the tests and type checkers."""
    longest = len(name) == LONGEST
    grant_type = "urn:" + "a" * (LONGEST_GRANT_TYPE - 4) if longest else "urn:a"
    plugin = NewPlugin(name, kind, grant_type, "p" * LONGEST_PARAMETER if longest else "p")
    plugin.write(tmp_path / name)
    for command in (("check",), ("format", "--check")):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--no-cache", "."],
            cwd=tmp_path / name,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_writes_every_file_of_the_template() -> None:
    there = [
        path.relative_to(TEMPLATE)
        for path in TEMPLATE.rglob("*")
        if path.is_file() and not {"__pycache__", ".ruff_cache"} & set(path.parts)
    ]
    assert {path.parts[0] for path in there} == {"common", *KINDS}
    common = [path for path in there if path.parts[0] == "common"]
    for kind in KINDS:
        own = [path for path in there if path.parts[0] == kind]
        assert len(list(NewPlugin(NAME, kind).files())) == len(common) + len(own)
