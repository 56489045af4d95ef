"""The components of a gateway, reused on a reload if their configuration is unchanged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from grantway._credentials.fingerprint import fingerprint

T = TypeVar("T")


class ComponentCache:
    """Components keyed by a hash of their configuration.

    Args:
        before: The cache before the reload; unchanged components are taken from it.
    """

    def __init__(self, before: ComponentCache | None = None) -> None:
        self._before: dict[str, Any] = {} if before is None else before._parts  # noqa: SLF001 - its own kind
        self._parts: dict[str, Any] = {}

    @property
    def parts(self) -> list[Any]:
        """All components."""
        return list(self._parts.values())

    def part(self, kind: str, facts: Mapping[str, Any], make: Callable[[], T]) -> T:
        """The part of a description; made where there is none yet.

        Args:
            kind: What it is.
            facts: All that it is made of. Only a hash of them is kept.
            make: Makes it.
        """
        key = f"{kind} {fingerprint(facts)}"
        if key not in self._parts:
            self._parts[key] = self._before[key] if key in self._before else make()
        made: T = self._parts[key]
        return made

    def close(self, after: ComponentCache | None = None) -> None:
        """Close what has ``close``, but for what is used on.

        Args:
            after: What takes its place.
        """
        used = {id(each) for each in (() if after is None else after.parts)}
        for each in self.parts:
            close = getattr(each, "close", None)
            if close is not None and id(each) not in used:
                close()

    def forget_before(self) -> None:
        """Let go of what there was, once everything is made."""
        self._before = {}
