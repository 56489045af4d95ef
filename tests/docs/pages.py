"""The documentation pages and their code blocks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
#: Default address of ``grantway serve``.
DEFAULT_ISSUER = "http://127.0.0.1:8400"

_FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>`{3,})(?P<info>[^`\n]*)$")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block.

    Attributes:
        language: First word after the backticks.
        options: Rest of that line.
        code: Text between the fences, without their indentation.
        line: Line number of the first line of code in the page.
    """

    language: str
    options: str
    code: str
    line: int

    @property
    def runs(self) -> bool:
        """Whether the examples test executes it."""
        return self.language == "python" and "no-run" not in self.options.split()

    @property
    def is_output(self) -> bool:
        """Whether it shows the output of the blocks above it."""
        return self.language == "text" and 'title="Output"' in self.options


def pages() -> list[Path]:
    """Return every page of the site, and the README."""
    return [*sorted(DOCS.rglob("*.md")), README]


def name_of(page: Path) -> str:
    """Return a page's path for test names and errors."""
    return page.relative_to(ROOT).as_posix()


def preamble(page: Path) -> list[Path]:
    """Return the pages whose examples run before this page's."""
    index = page.with_name("index.md")
    return [index] if page.parent != DOCS and page != index and index.exists() else []


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page, in order.

    Raises:
        ValueError: A fence is not closed.
    """
    found: list[Block] = []
    lines = page.read_text(encoding="utf-8").splitlines()
    number = 0
    while number < len(lines):
        opening = _FENCE.match(lines[number])
        number += 1
        if opening is None:
            continue
        start, indent = number, len(opening["indent"])
        while number < len(lines) and lines[number].strip() != opening["ticks"]:
            number += 1
        if number == len(lines):
            raise ValueError(f"{name_of(page)}:{start}: the fence is not closed")
        language, _, options = opening["info"].strip().partition(" ")
        code = "\n".join(line[indent:] for line in lines[start:number]) + "\n"
        found.append(Block(language, options.strip(), code, start + 1))
        number += 1
    return found
