"""Secrets in a table of a file: their text, or the source that they are read from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields

from grantway._secrets.params import Params
from grantway._types.fields import Text

_EXAMPLE = '{ source = "env", name = "MY_SECRET" }'


def is_source(value: object) -> bool:
    """Return whether a value of a file is a table that names a secret source."""
    return isinstance(value, Mapping) and isinstance(value.get("source"), str)


class SecretField(fields.Field[str | Params]):
    """A secret: text, or a table with the name of a source as ``source`` and its options."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **options: Any
    ) -> str | Params:
        if isinstance(value, str):
            return str(Text(example='"..."').deserialize(value))
        if isinstance(value, list):
            raise ValidationError(
                f"must be one secret, not a list, like {_EXAMPLE}; if several are allowed here, "
                "this secret contains them with commas between them"
            )
        if not isinstance(value, Mapping):
            raise ValidationError(f"must be text, or a table with its source, like {_EXAMPLE}")
        if not is_source(value):
            raise ValidationError({"source": [f"must name a secret source, as in {_EXAMPLE}"]})
        return Params(value)


class GrantParams(fields.Field[Params]):
    """``params = {...}``: parameters of a grant; a table with ``source`` is a secret source."""

    default_error_messages = {  # noqa: RUF012 - marshmallow reads it from the class
        "invalid": "must be a table with the grant's parameters",
    }

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **options: Any
    ) -> Params:
        if not isinstance(value, Mapping):
            raise self.make_error("invalid")
        return Params(
            {name: Params(each) if is_source(each) else each for name, each in value.items()}
        )
