"""Invalid and harmful grants are rejected with the reason and the plugin."""

from __future__ import annotations

from typing import Any

import pytest
from marshmallow import EXCLUDE, INCLUDE, Schema, fields

import grantway
from grantway import Grant, GrantInvalidError, GrantSchema, Replay, Text

TYPE = "urn:example:x"


class Code(GrantSchema):
    """A schema with an authorization code."""

    code = Text(required=True, example='"1234"')


class Refresh(GrantSchema):
    """A schema with a refresh token."""

    refresh_token = Text(required=True, example='"rt"')


class Coupon(GrantSchema):
    """A schema with a parameter that no RFC defines."""

    coupon = Text(required=True, example='"SPRING-2031"')


class Included(Schema):
    """A schema that accepts unknown fields."""

    class Meta:
        """By accident."""

        unknown = INCLUDE


class Nested(GrantSchema):
    """A schema whose nested schema accepts unknown fields."""

    inside = fields.List(fields.Nested(Included))


class Reserved(GrantSchema):
    """A schema with a reserved parameter."""

    client_secret = Text(required=True, example='"s"')


def grant(grant_type: Any = TYPE, schema: Any = None, **more: Any) -> Grant:
    return Grant(grant_type=grant_type, schema=GrantSchema() if schema is None else schema, **more)


OPEN = (
    "so a misspelt parameter would be dropped or sent unchecked; subclass GrantSchema, or set "
    "unknown=RAISE (pass provider-specific parameters in extra={...})"
)
BAD = {
    "no grant": ("coupon", "grantway_register_grants returned a str, not a grantway.Grant"),
    "empty": (grant(""), "a grant has an empty grant_type; set it to the value that is sent"),
    "blank": (grant("  "), "a grant has an empty grant_type; set it to the value that is sent"),
    "no string": (grant(None), "a grant has an empty grant_type; set it to the value that is sent"),
    "a space": (grant("x "), "the grant_type 'x ' has a space or a character that is not ASCII"),
    "no schema": (
        Grant(grant_type=TYPE, schema=None),  # type: ignore[arg-type]
        (
            f"the grant {TYPE}: its schema must be an instance of a marshmallow schema, not "
            "None; use GrantSchema() for no parameters"
        ),
    ),
    "a class": (
        grant(schema=Code),
        f"the grant {TYPE}: its schema is a class; use an instance, Code()",
    ),
    "includes": (
        grant(schema=Included()),
        f"the grant {TYPE}: its schema accepts unknown fields (unknown='include'), {OPEN}",
    ),
    "excludes": (
        grant(schema=Code(unknown=EXCLUDE)),
        f"the grant {TYPE}: its schema accepts unknown fields (unknown='exclude'), {OPEN}",
    ),
    "includes inside": (
        grant(schema=Nested()),
        f"the grant {TYPE}: its schema.inside accepts unknown fields (unknown='include'), {OPEN}",
    ),
    "reserved": (
        grant(schema=Reserved()),
        (f"the grant {TYPE}: its schema has client_secret, which grantway sets; remove it"),
    ),
    "misspelt secret": (
        grant(schema=Code(), secret=frozenset({"cod"})),
        f"the grant {TYPE}: secret names cod, which is not in its schema; the schema has code",
    ),
    "secret is text": (
        grant(schema=Code(), secret="code"),
        f'the grant {TYPE}: secret must be names, like frozenset({{"code"}})',
    ),
    "no replay": (
        grant(replay="never"),
        f"the grant {TYPE}: replay must be a grantway.Replay, not 'never'",
    ),
    "a code sent twice": (
        grant(schema=Code(), replay=Replay.WINDOWED),
        (
            f"the grant {TYPE}: replay is Replay.WINDOWED, but a second send is harmful, because "
            "its field code is single-use (RFC 6749 section 4.1.2); use Replay.NEVER"
        ),
    ),
    "a refresh token sent twice": (
        grant(schema=Refresh(), replay=Replay.SAFE),
        (
            f"the grant {TYPE}: replay is Replay.SAFE, but a second send is harmful, because its "
            "field refresh_token is single-use (RFC 9700 section 4.14); "
            "use Replay.WINDOWED or Replay.NEVER"
        ),
    ),
    "single use by its own word": (
        grant(schema=Coupon(), replay=Replay.SAFE, single_use=frozenset({"coupon"})),
        (
            f"the grant {TYPE}: replay is Replay.SAFE, but a second send is harmful, because its "
            "field coupon is single-use (it is in single_use); use Replay.WINDOWED or Replay.NEVER"
        ),
    ),
    "replaces": (grant(replaces=None), f"the grant {TYPE}: replaces must be the name of a"),
}


@pytest.mark.parametrize(("bad", "reason"), BAD.values(), ids=BAD)
def test_rejects_an_invalid_grant(bad: Any, reason: str) -> None:
    class Plugin:
        @grantway.hookimpl
        def grantway_register_grants(self) -> list[Any]:
            return [bad]

    registry = grantway.build_registry({"mine": Plugin()}, entry_points=False)
    (status,) = registry.plugins
    assert (status.name, status.owner, status.state) == ("mine", "application", "failed")
    assert status.reason.startswith(f"GrantInvalidError: {reason}")
    with pytest.raises(grantway.PluginLoadError, match="The plugin mine of application"):
        grantway.build_registry({"mine": Plugin()}, entry_points=False, strict=True)


@pytest.mark.parametrize(("bad", "reason"), BAD.values(), ids=BAD)
def test_register_rejects_an_invalid_grant(bad: Any, reason: str) -> None:
    with pytest.raises(GrantInvalidError) as raised:
        grantway.register(bad)
    assert str(raised.value).startswith(reason)
    assert "application" not in {each.owner for each in grantway.default_registry().plugins}


def test_rejects_an_issuer_grant_without_decide() -> None:
    with pytest.raises(GrantInvalidError, match=r"issuer grant .* has no decide"):
        grantway.register(grant(), issuer=object())  # type: ignore[arg-type]


def test_accepts_valid_grants() -> None:
    before = len(grantway.default_registry().grants)
    for number, (schema, replay) in enumerate(
        [
            (Code(), Replay.NEVER),
            (Refresh(), Replay.WINDOWED),
            (Refresh(), Replay.NEVER),
            (Coupon(), Replay.SAFE),
            (GrantSchema(), Replay.SAFE),
        ]
    ):
        grantway.register(grant(f"urn:example:{number}", schema, replay=replay))
    assert len(grantway.default_registry().grants) == before + 5
