"""A value that shows in no repr, and so in no report of the locals of a traceback."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

Held = TypeVar("Held")


@dataclass(frozen=True, slots=True)
class Masked(Generic[Held]):
    """Holds a secret on its way through functions that may raise."""

    value: Held = field(repr=False)
