"""Patterns for the values of claims."""

from __future__ import annotations

import re
from functools import lru_cache

#: The separators in the subjects of Kubernetes, GitHub and SPIFFE.
_PART = "[^:/]*"


@lru_cache(1024)
def _expression(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"(\*{1,2})", pattern)
    wild = {"*": _PART, "**": ".*"}
    return re.compile("".join(wild.get(each) or re.escape(each) for each in parts), re.DOTALL)


def matches(pattern: str, value: str) -> bool:
    """Return whether a pattern matches a whole value.

    ``*`` stands for any characters but ``:`` and ``/``, and ``**`` for any characters. All others
    stand for themselves.
    """
    return _expression(pattern).fullmatch(value) is not None


def problem_of(pattern: object) -> str | None:
    """Return why a pattern is invalid, or None."""
    if not isinstance(pattern, str) or not pattern.strip() or not pattern.isprintable():
        return "must be printable text"
    if "***" in pattern:
        return "must not contain ***; use * within a part, or ** for any characters"
    return None
