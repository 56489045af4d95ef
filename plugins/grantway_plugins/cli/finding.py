"""The result of a check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check.

    Attributes:
        level: ``problem`` if something does not work, ``note`` for information, or ``ok``.
        about: Subject of the check.
        found: Description of the result.
        remedy: How to fix the problem; empty if there is nothing to do.
    """

    level: Literal["problem", "note", "ok"]
    about: str
    found: str
    remedy: str = ""
