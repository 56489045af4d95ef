"""Load parameters with a marshmallow schema, faster if the schema consists of fields alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from marshmallow import RAISE, Schema, ValidationError, missing
from marshmallow.fields import Field

#: Members of ``Schema`` that a subclass may override to load in another way.
_LOADING = (
    "load", "_do_load", "_deserialize", "_call_and_store", "_invoke_field_validators", "dict_class",
)  # fmt: skip


class SchemaLoader:
    """Loads as ``schema.load`` does.

    A call of ``schema.load`` prepares for hooks, partial loading and lists, which takes most of its
    time. Schemas that use none of them are loaded field by field. Any problem is left to
    ``schema.load``, which reports all of them.
    """

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        #: Name of a parameter -> name of its loaded value, and its field; None if unused.
        self._fields: dict[str, tuple[str, Field[Any]]] | None = None
        if _has_only_fields(schema):
            self._fields = {
                name if field.data_key is None else field.data_key: (field.attribute or name, field)
                for name, field in schema.load_fields.items()
            }

    def load(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the loaded parameters.

        Raises:
            ValidationError: a parameter is invalid.
        """
        fields = self._fields
        if fields is not None and isinstance(params, dict) and params.keys() <= fields.keys():
            loaded = {}
            try:
                for name, (key, field) in fields.items():
                    value = field.deserialize(params.get(name, missing), name, params)
                    if value is not missing:
                        loaded[key] = value
            except ValidationError:
                pass
            else:
                return loaded
        return cast("dict[str, Any]", self._schema.load(params))


def _has_only_fields(schema: Schema) -> bool:
    """Return whether to load is to load each field."""
    kind: Any = type(schema)
    hooks: Mapping[str, Any] | None = getattr(kind, "_hooks", None)
    return (
        all(getattr(kind, name, None) is getattr(Schema, name, kind) for name in _LOADING)
        and hooks is not None
        and not any(hooks.values())
        and not schema.many
        and schema.partial is None
        and schema.unknown == RAISE
        # marshmallow nests a value whose attribute has dots
        and not any("." in (field.attribute or name) for name, field in schema.load_fields.items())
    )
