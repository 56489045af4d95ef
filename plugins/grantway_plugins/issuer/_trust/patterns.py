"""Patterns for the values of claims."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

#: Maximum length of a value that a pattern matches, in characters; that of a SPIFFE ID.
MAX_VALUE = 2_048

#: The separators in the subjects of Kubernetes, GitHub and SPIFFE.
_PART = "[^:/]*"


@lru_cache(1024)
def _expression(pattern: str) -> re.Pattern[str]:
    first, *sections = (_section(each) for each in pattern.split("**"))
    if not sections:
        return re.compile(first.last)
    # The earliest match of a section is as good as any later one, because ** follows. Without
    # atomic groups, some values would take hours.
    middle = (f"(?>.*?{each.earliest})" for each in sections[:-1])
    return re.compile(f"(?>{first.earliest}){''.join(middle)}.*{sections[-1].last}", re.DOTALL)


class _Section(NamedTuple):
    """The part of a pattern between two ``**``: expressions for its earliest and its last match."""

    earliest: str
    last: str


def _section(text: str) -> _Section:
    first, *others = map(re.escape, text.split("*"))
    if not others:
        return _Section(first, first)
    # As above: what follows a text within a part begins with * or **.
    atomic = [f"(?>{_PART}?{each})" for each in others]
    return _Section(
        "".join([first, *atomic]), "".join([first, *atomic[:-1], f"{_PART}{others[-1]}"])
    )


def matches(pattern: str, value: str) -> bool:
    """Return whether a pattern matches a whole value of at most 2,048 characters.

    ``*`` stands for any characters but ``:`` and ``/``, and ``**`` for any characters. All others
    stand for themselves.
    """
    return len(value) <= MAX_VALUE and _expression(pattern).fullmatch(value) is not None


def problem_of(pattern: object) -> str | None:
    """Return why a pattern is invalid, or None."""
    if not isinstance(pattern, str) or not pattern.strip() or not pattern.isprintable():
        return "must be printable text"
    if "***" in pattern:
        return "must not contain ***; use * within a part, or ** for any characters"
    return None
