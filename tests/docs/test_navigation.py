"""Tests that the site's navigation agrees with the pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.docs.pages import DOCS, ROOT

SETTINGS = re.sub(r"!!python/name:\S+", "", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"))


def _entries(nav: list[Any]) -> Iterator[tuple[str, str]]:
    """Yield the title and path of each page that has a title in the navigation."""
    for entry in nav:
        if isinstance(entry, dict):
            ((title, target),) = entry.items()
            if isinstance(target, str):
                yield title, target
            else:
                yield from _entries(target)


@pytest.mark.parametrize(("title", "path"), list(_entries(yaml.safe_load(SETTINGS)["nav"])))
def test_the_title_is_the_heading_of_the_page(title: str, path: str) -> None:
    heading = re.search(r"^# (.+)$", (DOCS / path).read_text(encoding="utf-8"), re.MULTILINE)
    assert heading is not None
    assert heading[1] == title
