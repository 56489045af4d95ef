"""Tests that the pictures of the site can be drawn again, and show what the programs print."""

from __future__ import annotations

import html
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, ROOT
from tests.waiting import PATIENCE

pytestmark = pytest.mark.slow

PICTURES = DOCS / "pictures"
NAMES = sorted(path.name for path in PICTURES.iterdir())
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in DOCS.rglob("*.md"))


def _words(picture: Path) -> list[str]:
    """Return the words of a picture, without codes, ports and times."""
    text = html.unescape(re.sub(r"<[^>]+>", "", picture.read_text(encoding="utf-8")))
    body = text.partition("$")[2]
    return re.findall(r"\b[A-Za-z][a-z]{2,}\b", re.sub(r"\b[A-Z]{4}-[A-Z]{4}\b|\w*\d\w*", "", body))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    command = [sys.executable, "docs/.mkdocs/pictures.py", folder]
    subprocess.run(command, cwd=ROOT, check=True, timeout=4 * PATIENCE)
    return folder


def test_the_command_draws_every_picture(drawn: Path) -> None:
    assert sorted(path.name for path in drawn.iterdir()) == NAMES


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith(".svg")])
def test_pictures_show_the_current_output(name: str, drawn: Path) -> None:
    assert set(_words(PICTURES / name)) == set(_words(drawn / name))


@pytest.mark.parametrize("name", NAMES)
def test_a_page_shows_the_picture_with_a_description(name: str) -> None:
    assert re.search(rf"!\[[^\]]{{20,}}\]\([./]*pictures/{re.escape(name)}\)", TEXT)


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith(".svg")])
def test_pictures_load_nothing(name: str) -> None:
    picture = (PICTURES / name).read_text(encoding="utf-8")
    assert re.findall(r"url\((?!#)[^)]*\)|@import|href=\"http", picture) == []
