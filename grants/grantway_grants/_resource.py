"""The ``resource`` parameter, which names the API that a token is for (RFC 8707)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from marshmallow import ValidationError, fields

from grantway._types.fields import Text


class Uri(Text):
    """An absolute URI without a fragment (RFC 8707 section 2)."""

    default_error_messages = {  # noqa: RUF012 - marshmallow reads it from the class
        "uri": "must be an absolute URI without fragment, like {example}"
    }

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **options: Any
    ) -> str:
        text = super()._deserialize(value, attr, data, **options)
        try:
            parts = urlsplit(text)
        except ValueError:
            raise self.make_error("uri") from None
        if not parts.scheme or not (parts.netloc or parts.path) or "#" in text or " " in text:
            raise self.make_error("uri")
        return text


class Several(fields.Field[tuple[str, ...]]):
    """A string or a list of strings, for a parameter that may be repeated.

    Args:
        each: The field that checks each string.
    """

    default_error_messages = {  # noqa: RUF012 - the same
        "empty": "must not be an empty list; leave it out, or give one like {example}",
        "required": "is required, like {example}",
        "null": "must not be null; expected something like {example}",
    }

    def __init__(self, each: Text, **options: Any) -> None:
        self.each = each
        super().__init__(**options)

    def make_error(self, key: str, **details: Any) -> ValidationError:
        """Add the example to every message of this field."""
        return super().make_error(key, example=self.each.example, **details)

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **options: Any
    ) -> tuple[str, ...]:
        values = list(value) if isinstance(value, (list, tuple)) else [value]
        if not values:
            raise self.make_error("empty")
        checked = [self.each.deserialize(one) for one in values]
        return tuple(dict.fromkeys(text for text in checked if text is not None))


class Resource(Several):
    """One or more ``resource`` parameters (RFC 8707 section 2)."""

    def __init__(self, **options: Any) -> None:
        super().__init__(Uri(example='"https://api.example.com/"'), **options)
