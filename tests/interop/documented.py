"""The examples of the guide to ``grantway token --format``, which tests run with real programs."""

from __future__ import annotations

from tests.docs.pages import DOCS, blocks

_PAGE = DOCS / "how-to" / "tokens-for-other-tools.md"


def example(title: str) -> str:
    """Return the file of this name on the page."""
    (found,) = [each.code for each in blocks(_PAGE) if f'title="{title}"' in each.options]
    return found


def commands(program: str) -> list[str]:
    """Return the commands on the page that start a program."""
    return [each.code for each in blocks(_PAGE) if each.code.startswith(f"{program} ")]
