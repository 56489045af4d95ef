"""Tests that pages name public modules only, and files that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, name_of, pages

PRIVATE = re.compile(r"\b(?:grantway|grantway_grants|grantway_plugins)(?:\.\w+)*?\._(?!_)\w+")
PRIVATE_NAME = re.compile(r"\bfrom grantway\S* import (?:.*[ ,(])?_(?!_)\w+")
INDEX = (ROOT / "docs/reference/rfc-index.md").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "docs/explanation/architecture.md").read_text(encoding="utf-8")
STANDARDS = (ROOT / "docs/explanation/standards.md").read_text(encoding="utf-8")
NAMED = sorted(
    set(re.findall(r"`((?:core|grants|plugins|tests)/[^`]+)`", INDEX + ARCHITECTURE + STANDARDS))
)


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_names_no_private_module(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert [*PRIVATE.findall(text), *PRIVATE_NAME.findall(text)] == []


@pytest.mark.parametrize("path", NAMED)
def test_every_named_file_exists(path: str) -> None:
    assert (ROOT / path).exists()


def test_the_index_names_a_file_in_every_row() -> None:
    rows = [line for line in INDEX.splitlines() if line.startswith("| ")][1:]
    assert rows
    assert all(re.search(r"`(core|grants|plugins)/\S+\.py` \|$", row) for row in rows)


def test_every_standard_has_a_test() -> None:
    table = STANDARDS.split("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]
    assert rows
    assert all(re.fullmatch(r".* \| (`tests/\S+/test_\w+\.py`(, )?)+ \|", row) for row in rows)
