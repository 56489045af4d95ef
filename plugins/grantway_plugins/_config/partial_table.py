"""A table of a file with invalid keys, for the checks of its other keys."""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any, NoReturn

from marshmallow import ValidationError


class InvalidKeyError(ValidationError):
    """A check read a key that is invalid, which is reported already.

    To marshmallow this is a validation error without messages, so it skips the validator.
    """

    def __init__(self) -> None:
        super().__init__({})


class PartialTable(dict[str, Any]):
    """A table without its invalid keys.

    Reading an invalid key raises ``InvalidKeyError``, and so does iterating, which reads every
    key. So a check that depends on an invalid key ends instead of reporting a consequence of it,
    and every other check runs.

    Args:
        invalid: The invalid keys.
        valid: The others.

    Attributes:
        invalid: The invalid keys.
    """

    def __init__(self, invalid: Iterable[str], valid: Mapping[str, Any] | None = None) -> None:
        super().__init__(valid or {})
        self.invalid = frozenset(invalid)

    @classmethod
    def without(cls, key: str, table: dict[str, Any]) -> PartialTable:
        """Return a table in which one more key is invalid."""
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
        # No values: they may be secrets, which a report of the locals of a frame would show.
        return "PartialTable(...)"

    def _require_valid(self, key: object) -> None:
        if key in self.invalid:
            self._reject()

    def _reject(self) -> NoReturn:
        raise InvalidKeyError
