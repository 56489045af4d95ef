"""Schema and fields of the parameters of grants."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, cast

from marshmallow import RAISE, Schema, ValidationError, fields, validates_schema

from grantway._exceptions import RequestInvalidError

from .quantity import check_count


class Text(fields.String):
    """A non-empty string of printable ASCII characters (RFC 6749 appendix A).

    Args:
        example: A valid value, shown in errors.
        minimum: Minimum number of characters.
        maximum: Maximum number of characters.
    """

    default_error_messages = {  # noqa: RUF012 - marshmallow reads it from the class
        "invalid": "must be a string, like {example}",
        "empty": "must not be empty; expected something like {example}",
        "characters": "has a character that is not allowed; expected something like {example}",
        "length": "must be {minimum} to {maximum} characters long, like {example}",
        "required": "is required, like {example}",
        "null": "must not be null; expected something like {example}",
    }

    characters = re.compile(r"[\x20-\x7e]+")

    def __init__(
        self, *, example: str, minimum: int = 1, maximum: int = 65_536, **options: Any
    ) -> None:
        check_count("minimum", minimum, least=0)
        check_count("maximum", maximum, least=minimum)
        self.example, self.minimum, self.maximum = example, minimum, maximum
        super().__init__(**options)

    def make_error(self, key: str, **details: Any) -> ValidationError:
        """Add the example to every message of this field."""
        return super().make_error(
            key, example=self.example, minimum=self.minimum, maximum=self.maximum, **details
        )

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **options: Any
    ) -> str:
        if not isinstance(value, str):
            raise self.make_error("invalid")
        if not value:
            raise self.make_error("empty")
        if not self.characters.fullmatch(value):
            raise self.make_error("characters")
        if not self.minimum <= len(value) <= self.maximum:
            raise self.make_error("length")
        return value


class Scope(fields.Field[tuple[str, ...]]):
    """A scope: a list of names, or one string of names with spaces (RFC 6749 section 3.3)."""

    default_error_messages = {  # noqa: RUF012
        "invalid": 'must be a list of names or a string, like ["read", "write"] or "read write"',
        "name": "holds a name with a space, quote, backslash or non-ASCII character",
        "null": 'must not be null; leave it out, or give names like ["read"]',
        "required": 'is required, like ["read", "write"]',
    }

    _name = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **options: Any
    ) -> tuple[str, ...]:
        names = value.split() if isinstance(value, str) else value
        if not isinstance(names, (list, tuple, set, frozenset)) or not all(
            isinstance(name, str) for name in names
        ):
            raise self.make_error("invalid")
        if not all(self._name.fullmatch(name) for name in names):
            raise self.make_error("name")
        return tuple(dict.fromkeys(sorted(names) if isinstance(names, (set, frozenset)) else names))

    def names(self, value: Any) -> tuple[str, ...] | None:
        """Check a scope outside a schema; return None for None and for an empty scope.

        Raises:
            RequestInvalidError: it is not a scope.
        """
        if value is None:
            return None
        try:
            return cast("tuple[str, ...]", self.deserialize(value)) or None
        except ValidationError as invalid:
            rules = [str(rule) for rule in invalid.messages]
        raise RequestInvalidError(
            f"Nothing was sent: scope {'; '.join(rules)}", errors={"scope": rules}
        )


#: The error for an unknown parameter, for Python callers.
UNKNOWN_PARAMETER = "is not a parameter of this grant; provider-specific ones go into extra={...}"


#: The attributes with which marshmallow's decorators mark a function.
_HOOK_MARKS = frozenset(vars(validates_schema(lambda: None)))


@cache
def _no_hooks() -> Any:
    resolve: Any = type(Schema).resolve_hooks
    return resolve(Schema)


class GrantSchema(Schema):
    """Base class of grant schemas: rejects unknown names and reports all errors at once."""

    class Meta:
        """Reject unknown parameters, so that a misspelt one is not dropped silently."""

        unknown = RAISE

    error_messages = {  # noqa: RUF012
        "unknown": UNKNOWN_PARAMETER,
        "type": "must be a mapping of parameter names to values",
    }

    @classmethod
    def resolve_hooks(cls) -> Any:
        """Return the hooks, such as validators, of a new schema class.

        marshmallow searches all attributes of all base classes, which takes longer than the rest of
        creating the class. Most schemas have no hooks, so search only the classes that may.
        """
        members = [
            member
            for base in cls.__mro__
            if base not in {Schema, object}
            for member in vars(base).values()
        ]
        if _HOOK_MARKS and not any(hasattr(each, mark) for each in members for mark in _HOOK_MARKS):
            return _no_hooks()
        return type(cls).resolve_hooks(cls)
