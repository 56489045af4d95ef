"""The names of a grant's parameters: in the schema, on the wire and after loading."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from marshmallow import Schema, ValidationError, fields

from grantway._secrets.params import Params


class ParameterNames:
    """Translates between the names of a schema's parameters.

    A field has a name in the schema, on the wire (``data_key``) and after loading (``attribute``).
    The three are equal by default.

    Args:
        schema: The schema.

    Attributes:
        wire: Name of a field -> its name on the wire.
        same: Whether each parameter, and each one nested in it, has only one name.
    """

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self.wire = {name: field.data_key or name for name, field in schema.fields.items()}
        self._field = {wire: name for name, wire in self.wire.items()}
        self.same = not any(_renames(each) for _, each in nested_schemas(schema))

    def to_wire(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a caller's parameters by wire name.

        Raises:
            ValidationError: a parameter is given by two names.
        """
        if self.same:
            return params
        given = Params({self.wire.get(name, name): value for name, value in params.items()})
        if len(given) < len(params):
            twice = {
                self.wire[name]: [f"is given twice, as {name} too"]
                for name in params
                if self.wire.get(name, name) != name and self.wire[name] in params
            }
            raise ValidationError(twice)
        return given

    def to_arguments(self, params: Mapping[str, Any]) -> Params:
        """Return a caller's parameters by field name, which is a valid Python identifier."""
        if self.same:
            return params if isinstance(params, Params) else Params(params)
        return Params({self._field.get(name, name): value for name, value in params.items()})

    def on_wire(self, loaded: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return loaded parameters by wire name, including nested schemas."""
        return loaded if self.same else _written(self._schema, loaded)

    def all_of(self, names: Iterable[str]) -> frozenset[str]:
        """Return all names of the given parameters, which may be named in any of the three ways."""
        named = frozenset(names)
        if self.same:
            return named
        return named.union(
            *(
                known
                for name, field in self._schema.fields.items()
                if not named.isdisjoint(known := {name, self.wire[name], field.attribute or name})
            )
        )

    def wire_path(self, path: str) -> str:
        """Return an error's path, such as ``field.0``, with the wire name."""
        name, dot, rest = path.partition(".")
        return f"{self.wire.get(name, name)}{dot}{rest}"

    def shown(self, path: str) -> str:
        """Return an error's path for a message, with the field's Python name if it differs."""
        wire = path.partition(".")[0]
        field = self._field.get(wire, wire)
        return path if field == wire else f"{path} ({field} in Python)"


def nested_schemas(schema: Schema) -> list[tuple[str, Schema]]:
    """Return a schema and its nested schemas with their paths, each schema class once."""
    found = [("", schema)]
    for path, each in found:  # the loop extends the list
        for name, field in each.fields.items():
            inner = field.inner if isinstance(field, fields.List) else field
            if not isinstance(inner, fields.Nested) or inner.nested == "self":
                continue
            if not any(type(inner.schema) is type(known) for _, known in found):
                found.append((f"{path}.{name}", inner.schema))
    return found


def _renames(schema: Schema) -> bool:
    return any(
        (field.data_key or name) != name or (field.attribute or name) != name
        for name, field in schema.fields.items()
    )


def _written(schema: Schema, loaded: Mapping[str, Any]) -> Params:
    known = {field.attribute or name: (name, field) for name, field in schema.fields.items()}
    written = Params()
    for key, value in loaded.items():
        if key in known:
            name, field = known[key]
            written[field.data_key or name] = _value(field, value)
        else:
            written[key] = value  # added by a hook of the schema, by middleware or as extra
    return written


def _value(field: fields.Field[Any], value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        inner = field.inner if isinstance(field, fields.List) else field
        nested = isinstance(inner, fields.Nested)
        return [_value(inner, each) for each in value] if nested else value
    if isinstance(value, Mapping) and isinstance(field, fields.Nested):
        return _written(field.schema, value)
    return value
