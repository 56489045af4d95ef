"""Marshmallow fields for the values of configuration files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields

from grantway._types.quantity import check_count

from .tables import check_value

_LISTEN = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):(?P<port>\d{1,5})")
_MOST_PORT = 65_535


class WholeNumber(fields.Field[int]):
    """A whole number.

    Args:
        least: The minimum.
    """

    def __init__(self, *, least: int = 1, **options: Any) -> None:
        self._least = least
        super().__init__(**options)

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **options: Any
    ) -> int:
        check_value(check_count, value, least=self._least)
        return int(value)


class StrictBoolean(fields.Boolean):
    """True or false. Strings and numbers are rejected."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **options: Any
    ) -> bool:
        if not isinstance(value, bool):
            raise ValidationError("must be true or false")
        return value


class PathField(fields.String):
    """A path. A relative one starts at the folder of the file."""

    default_error_messages = {"invalid": "must be a path"}  # noqa: RUF012


class Choice(fields.String):
    """One of several words.

    Args:
        words: The allowed words.
    """

    def __init__(self, *words: str, **options: Any) -> None:
        self._words = words
        shown = " or ".join(f'"{each}"' for each in words)
        self._rule = f"must be {shown}"
        super().__init__(error_messages={"required": f"is missing; it {self._rule}"}, **options)

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **options: Any
    ) -> str:
        if value not in self._words:
            raise ValidationError(self._rule)
        return str(value)


class Listen(fields.Field[tuple[str, int]]):
    """An address to listen on, like ``127.0.0.1:8410``; port 0 picks a free one."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **options: Any
    ) -> tuple[str, int]:
        found = _LISTEN.fullmatch(value) if isinstance(value, str) else None
        if found is None or int(found["port"]) > _MOST_PORT:
            raise ValidationError('must be host and port, like "127.0.0.1:8410"')
        return found["host"].strip("[]"), int(found["port"])
