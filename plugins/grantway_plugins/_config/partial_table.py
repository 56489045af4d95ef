"""A table without its invalid keys, so that validators can check the other keys."""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any, NoReturn

from marshmallow import ValidationError


class InvalidKeyError(ValidationError):
    """A validator read an invalid key, which has already been reported.

    This is a ``ValidationError`` without messages, so marshmallow skips the validator.
    """

    def __init__(self) -> None:
        super().__init__({})


class PartialTable(dict[str, Any]):
    """A table without its invalid keys.

    Reading an invalid key raises ``InvalidKeyError``, and so does iterating over the table. A
    validator that depends on an invalid key therefore stops without reporting a follow-up error,
    and every other validator runs.

    Args:
        invalid: Names of the invalid keys.
        valid: Valid keys with their values.

    Attributes:
        invalid: Names of the invalid keys.
    """

    def __init__(self, invalid: Iterable[str], valid: Mapping[str, Any] | None = None) -> None:
        super().__init__(valid or {})
        self.invalid = frozenset(invalid)

    @classmethod
    def without(cls, key: str, table: dict[str, Any]) -> PartialTable:
        """Return a copy of a table with one more invalid key."""
        before = table.invalid if isinstance(table, PartialTable) else frozenset[str]()
        valid = {name: dict.get(table, name) for name in dict.keys(table) if name != key}
        return cls(before | {key}, valid)

    def __contains__(self, key: object) -> bool:
        self._require_valid(key)
        return super().__contains__(key)

    def __getitem__(self, key: str) -> Any:
        self._require_valid(key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None, /) -> Any:
        """See ``dict.get``."""
        self._require_valid(key)
        return super().get(key, default)

    def setdefault(self, key: str, default: Any = None, /) -> Any:
        """See ``dict.setdefault``."""
        self._require_valid(key)
        return super().setdefault(key, default)

    def __iter__(self) -> Iterator[str]:
        self._reject()

    def keys(self) -> KeysView[str]:  # type: ignore[override]
        """Raise ``InvalidKeyError``."""
        self._reject()

    def values(self) -> ValuesView[Any]:  # type: ignore[override]
        """Raise ``InvalidKeyError``."""
        self._reject()

    def items(self) -> ItemsView[str, Any]:  # type: ignore[override]
        """Raise ``InvalidKeyError``."""
        self._reject()

    def __repr__(self) -> str:
        # Values may be secrets, and tools that report errors show the locals of each frame.
        return "PartialTable(...)"

    def _require_valid(self, key: object) -> None:
        if key in self.invalid:
            self._reject()

    def _reject(self) -> NoReturn:
        raise InvalidKeyError
