"""What several of these grants have in their schemas."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from marshmallow import ValidationError, fields

from grantway.grant import Text

#: What stands in the registry of token types (RFC 8693 section 3), after this.
TOKEN_TYPE = "urn:ietf:params:oauth:token-type:"


class Uri(Text):
    """An absolute address or URN without a fragment (RFC 8707 section 2)."""

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
    """One text or a list of texts, for a parameter that may stand more than once.

    Args:
        each: What every one must be.
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
        """Put the example into every message of this field."""
        return super().make_error(key, example=self.each.example, **details)

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **options: Any
    ) -> tuple[str, ...]:
        values = list(value) if isinstance(value, (list, tuple)) else [value]
        if not values:
            raise self.make_error("empty")
        checked = [self.each.deserialize(one) for one in values]
        return tuple(dict.fromkeys(text for text in checked if text is not None))


class Jwt(Text):
    """A signed JWT in its compact form: three parts of base64url with dots (RFC 7515)."""

    default_error_messages = {  # noqa: RUF012 - the same
        "characters": "must be a signed JWT, three parts with dots, like {example}"
    }
    characters = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")

    def __init__(self, **options: Any) -> None:
        super().__init__(example='"eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJ4In0.c2ln"', **options)
