"""The headers of a request, whose values must not appear in tracebacks or logs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any


class Headers(Mapping[str, str]):
    """The headers of a request, read-only. Names are case-insensitive; the repr omits the values.

    The values of a repeated header are joined, as RFC 9110 section 5.3 permits.

    Args:
        values: The headers, with lower-case names.
    """

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[bytes, str] = MappingProxyType({})) -> None:
        self._values = values

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower().encode("latin-1", "replace")]

    def __iter__(self) -> Iterator[str]:
        return (name.decode("latin-1") for name in self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle the values."""
        return type(self), (dict(self._values),)

    def __repr__(self) -> str:
        return f"Headers({', '.join(self)})"


def joined(pairs: Iterable[tuple[bytes, str]]) -> dict[bytes, str]:
    """Return headers by lower-case name, with the values of repeated ones joined.

    Args:
        pairs: Pairs of lower-case name and value.
    """
    values: dict[bytes, str] = {}
    for name, value in pairs:
        if name in values:
            separator = "; " if name == b"cookie" else ", "
            values[name] = f"{values[name]}{separator}{value}"
        else:
            values[name] = value
    return values
