"""Tests that a release is consistent, and that the workflows run the documented commands."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

import grantway
from tests.docs.pages import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
NOXFILE = (ROOT / "noxfile.py").read_text(encoding="utf-8")
SESSIONS = re.findall(r"^@nox\.session.*\ndef (\w+)", NOXFILE, re.MULTILINE)


def test_the_package_has_the_version_of_its_distribution() -> None:
    assert PROJECT["version"] == grantway.__version__


def test_the_changelog_has_an_entry_for_the_version_or_unreleased() -> None:
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] in {"Unreleased", PROJECT["version"]}


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_run_existing_commands(workflow: Path) -> None:
    jobs = yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"]
    commands = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    for session in re.findall(r"nox -s \"?([a-z]+)", "\n".join(commands)):
        assert session in SESSIONS
    for script in re.findall(r"^\.\S+", "\n".join(commands), re.MULTILINE):
        assert (ROOT / script).is_file()


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_pin_each_action_by_major_version(workflow: Path) -> None:
    jobs = yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"]
    actions = [step["uses"] for job in jobs.values() for step in job["steps"] if "uses" in step]
    assert [name for name in actions if not re.search(r"@(v\d+|release/v\d+)$", name)] == []


def test_the_workflow_and_nox_test_the_same_versions() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))["jobs"]
    tested = jobs["tests"]["strategy"]["matrix"]["python"]
    assert re.findall(r"\"(3\.\d+)\"", NOXFILE) == tested
    classifiers = [each.rpartition(" ")[2] for each in PROJECT["classifiers"]]
    assert {each for each in classifiers if re.fullmatch(r"3\.\d+", each)} <= set(tested)
