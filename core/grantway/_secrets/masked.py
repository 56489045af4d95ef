"""A wrapper that keeps a secret out of reprs, and thus out of the locals of tracebacks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

Held = TypeVar("Held")


@dataclass(frozen=True, slots=True)
class Masked(Generic[Held]):
    """Wraps a secret that is passed to functions that may raise."""

    value: Held = field(repr=False)
