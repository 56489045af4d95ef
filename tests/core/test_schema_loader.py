"""``SchemaLoader`` gives the results and errors of ``marshmallow.Schema.load``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from marshmallow import (
    EXCLUDE,
    INCLUDE,
    Schema,
    ValidationError,
    fields,
    post_load,
    pre_load,
    validate,
    validates,
    validates_schema,
)

from grantway import GrantSchema, Scope, Text, default_registry
from grantway._types.schema_loader import SchemaLoader


class Plain(GrantSchema):
    """Fields of several kinds."""

    code = Text(required=True, example='"c"')
    scope = Scope()
    hint = fields.String(data_key="login-hint", validate=validate.Length(max=5))
    number = fields.Integer(load_default=3)
    made = fields.List(fields.Integer(), load_default=list)
    renamed = fields.String(attribute="other", allow_none=True)
    shown = fields.String(dump_only=True)
    inner = fields.Nested(Schema.from_dict({"a": fields.Integer(required=True)}))


class Before(Plain):
    """Changes the parameters before they are loaded."""

    @pre_load
    def add(self, data: Any, **_: Any) -> Any:
        return {"code": "added", **data} if isinstance(data, dict) else data


class After(Plain):
    """Changes the parameters after they are loaded."""

    @post_load
    def add(self, data: Any, **_: Any) -> Any:
        return {**data, "after": True}


class OneField(Plain):
    """Validates one field."""

    @validates("code")
    def check(self, value: str, **_: Any) -> None:
        if value == "c":
            raise ValidationError("c is not allowed")


class Whole(Plain):
    """Validates all fields together."""

    @validates_schema
    def check(self, data: Mapping[str, Any], **_: Any) -> None:
        if "scope" in data:
            raise ValidationError("no scope, please", "scope")


class Own(Plain):
    """Loads in its own way."""

    def load(self, data: Any, **options: Any) -> Any:
        return {"own": super().load(data, **options)}


class Dotted(GrantSchema):
    """Nests a loaded value."""

    code = fields.String(attribute="a.b")


GIVEN: list[Any] = [
    {},
    {"code": "c"},
    {"code": "c", "scope": "a b", "login-hint": "x", "number": "7", "made": [1, "2"]},
    {"code": "c", "renamed": None, "inner": {"a": "1"}},
    {"code": "", "scope": 5, "login-hint": "too long", "number": "x", "inner": {"b": 1}},
    {"code": None},
    {"code": "c", "shown": "s"},
    {"code": "c", "hint": "x", "unknown": 1},
    {"scope": "a"},
    [{"code": "c"}],
    "code",
    None,
]


def outcome(load: Any, given: Any) -> Any:
    try:
        return load(given)
    except ValidationError as invalid:
        return invalid.messages_dict, invalid.data, invalid.valid_data


@pytest.mark.parametrize("given", GIVEN, ids=str)
@pytest.mark.parametrize(
    "schema",
    [Plain(), Before(), After(), OneField(), Whole(), Own(), Dotted(),
     Plain(many=True), Plain(partial=True), Plain(unknown=EXCLUDE),
     Plain(unknown=INCLUDE), Plain(only=("code",))],
    ids=lambda schema: type(schema).__name__,
)  # fmt: skip
def test_loads_as_marshmallow_does(schema: Schema, given: Any) -> None:
    loaded = outcome(SchemaLoader(schema).load, given)
    assert loaded == outcome(schema.load, given)
    if isinstance(loaded, dict):
        assert list(loaded) == list(schema.load(given))


def test_standard_grants_are_loaded_field_by_field(monkeypatch: pytest.MonkeyPatch) -> None:
    grants = [default_registry().grant(name) for name in ("authorization_code", "refresh_token")]
    required = {
        "authorization_code": {"code": "c", "redirect_uri": "https://app.example/"},
        "refresh_token": {"refresh_token": "r"},
    }
    given = [required[grant.grant_type] for grant in grants]
    expected = [grant.schema.load(each) for grant, each in zip(grants, given, strict=True)]
    monkeypatch.setattr(Schema, "_do_load", None)
    assert [grant.load(each) for grant, each in zip(grants, given, strict=True)] == expected
