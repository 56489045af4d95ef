"""Tests that CONTRIBUTING describes the tree, and that all files name the same commands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.docs.pages import README, ROOT

GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
CI = (ROOT / ".ci/run").read_text(encoding="utf-8")
NOXFILE = (ROOT / "noxfile.py").read_text(encoding="utf-8")
HOOKS = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
#: Options that run pytest in parallel.
PARALLEL = re.compile(r"pytest (?:-q )?(-n \d+ --dist \w+)")
CHECKS = re.findall(r"\$bin/((?!python|pytest)[\w-]+(?: check| format| build)?)", CI)


def _mapped(heading: str) -> set[str]:
    """Return the names in the first column of the table below a heading."""
    section = GUIDE.split(f"`{heading}`, ", 1)[1]
    table = section.split("|---|---|\n", 1)[1].split("\n\n", 1)[0]
    return set(re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE))


def _members(folder: Path) -> set[str]:
    """Return the packages and modules of a package."""
    modules = {path.name for path in folder.glob("*.py") if not path.name.startswith("__")}
    return modules | {path.parent.name for path in folder.glob("*/__init__.py")}


@pytest.mark.parametrize("package", ["core/grantway", "plugins/grantway_plugins"])
def test_the_map_lists_every_package(package: str) -> None:
    assert _mapped(package) == _members(ROOT / package)


def test_the_map_lists_every_standard_grant() -> None:
    members = _members(ROOT / "grants/grantway_grants")
    assert _mapped("grants/grantway_grants") == {
        name for name in members if not name.startswith("_")
    }


def test_readme_contributing_and_nox_run_the_tests_with_the_same_options() -> None:
    (option,) = set(PARALLEL.findall(README.read_text(encoding="utf-8") + GUIDE))
    assert 'PARALLEL = ("' + '", "'.join(option.split()) + '")' in NOXFILE


def test_ci_runs_checks() -> None:
    assert {"ruff check", "ruff format", "mypy", "pyright", "lint-imports", "mkdocs build"} == set(
        CHECKS
    )


@pytest.mark.parametrize("check", sorted(set(CHECKS)))
def test_contributing_and_nox_name_the_checks_of_ci(check: str) -> None:
    program = check.split(maxsplit=1)[0]
    assert f".venv/bin/{program}" in GUIDE
    assert ", ".join(f'"{word}"' for word in check.split()) in NOXFILE


def test_hooks_run_checks_of_ci() -> None:
    entries = [hook["entry"] for hook in yaml.safe_load(HOOKS)["repos"][0]["hooks"]]
    programs = {entry.split()[0].removeprefix(".venv/bin/") for entry in entries}
    assert programs <= {check.split()[0] for check in CHECKS} | {"pytest"}


def test_contributing_names_only_sessions_of_nox() -> None:
    sessions = set(re.findall(r"^def (\w+)\(session", NOXFILE, re.MULTILINE))
    named = " ".join(re.findall(r"nox -s ((?:[a-z][\w.-]* ?)+)", GUIDE)).split()
    assert named
    assert {name.partition("-")[0] for name in named} <= sessions


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"(?:^|\s)\.venv/bin/[\w-]+ .*?(tests/[\w/.]+)", GUIDE)))
)
def test_contributing_names_files_that_exist(path: str) -> None:
    assert (ROOT / path).exists()
