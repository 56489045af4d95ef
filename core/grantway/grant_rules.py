"""What makes a grant usable: checked once, when it is registered."""

from __future__ import annotations

import inspect
import re

from marshmallow import RAISE, Schema, fields

from .boundary import kind_of
from .exceptions import GrantInvalidError
from .grant import Grant, Replay

#: Names that the core writes into every request itself.
RESERVED = frozenset(
    {"grant_type", "client_id", "client_secret", "client_assertion", "client_assertion_type"}
)
#: Parameters that are single use by the RFC that defines them -> what may be said of a second send.
_SINGLE_USE = {
    "code": (frozenset({Replay.NEVER}), "RFC 6749 section 4.1.2"),
    "refresh_token": (frozenset({Replay.NEVER, Replay.WINDOWED}), "RFC 9700 section 4.14"),
}
# RFC 6749 appendix A.10: a name or a URI; neither has a space.
_GRANT_TYPE = re.compile(r"[\x21-\x7e]+")


def check_grant(grant: object) -> None:
    """Refuse a grant that could not work, or that would do harm.

    Raises:
        GrantInvalidError: says what is wrong with it and how to mend that.
    """
    if not isinstance(grant, Grant):
        raise GrantInvalidError(
            f"grantway_register_grants returned {kind_of(grant)}, not a grantway.Grant"
        )
    if not isinstance(grant.grant_type, str) or not grant.grant_type.strip():
        raise GrantInvalidError("a grant has an empty grant_type; give it the string on the wire")
    if not _GRANT_TYPE.fullmatch(grant.grant_type):
        raise GrantInvalidError(
            f"the grant_type {grant.grant_type!a} has a space or a character that is not ASCII"
        )
    _check_schema(grant)
    _check_named_fields(grant)
    _check_replay(grant)
    if not isinstance(grant.replaces, str):
        raise _invalid(grant, "replaces must be the name of a distribution")


def _invalid(grant: Grant, what: str) -> GrantInvalidError:
    return GrantInvalidError(f"the grant {grant.grant_type}: {what}")


def _check_schema(grant: Grant) -> None:
    schema: object = grant.schema
    if inspect.isclass(schema) and issubclass(schema, Schema):
        raise _invalid(grant, f"schema is a class; give an instance, {schema.__name__}()")
    if not isinstance(schema, Schema):
        raise _invalid(
            grant,
            f"it has no schema: a marshmallow schema instance is needed, not {schema!r:.80}; "
            "GrantSchema() stands for no parameters",
        )
    for path, each in _schemas(schema):
        if each.unknown != RAISE:
            raise _invalid(
                grant,
                f"its schema{path} accepts unknown fields (unknown={each.unknown!r}), so a "
                "misspelt parameter would be lost or sent unchecked; subclass GrantSchema, or set "
                "unknown=RAISE (provider-specific parameters go into extra={...})",
            )
    if taken := sorted(RESERVED & set(schema.fields)):
        raise _invalid(
            grant,
            f"its schema has {', '.join(taken)}, which grantway writes itself; take it out",
        )


def _schemas(schema: Schema, path: str = "") -> list[tuple[str, Schema]]:
    """The schema and those nested in it; a recursive one is looked at once."""
    found = [(path, schema)]
    for name, field in schema.fields.items():
        inner = field.inner if isinstance(field, fields.List) else field
        if isinstance(inner, fields.Nested) and inner.nested != "self":
            nested = inner.schema
            if not isinstance(nested, type(schema)):
                found += _schemas(nested, f"{path}.{name}")
    return found


def _check_named_fields(grant: Grant) -> None:
    for attribute in ("secret", "repeatable", "single_use"):
        named = getattr(grant, attribute)
        if isinstance(named, str) or not all(isinstance(name, str) for name in named):
            raise _invalid(grant, f'{attribute} must be names, like frozenset({{"code"}})')
        if lost := sorted(set(named) - set(grant.schema.fields)):
            raise _invalid(
                grant,
                f"{attribute} names {', '.join(lost)}, which its schema does not have; "
                f"it has {', '.join(sorted(grant.schema.fields)) or 'no fields'}",
            )


def _check_replay(grant: Grant) -> None:
    if not isinstance(grant.replay, Replay):
        raise _invalid(grant, f"replay must be a grantway.Replay, not {grant.replay!r:.80}")
    for name in sorted(set(grant.schema.fields)):
        allowed, why = _SINGLE_USE.get(name, (frozenset(Replay), ""))
        if name in grant.single_use:
            allowed, why = allowed - {Replay.SAFE}, why or "it is in single_use"
        if grant.replay not in allowed:
            choice = " or ".join(f"Replay.{each.name}" for each in Replay if each in allowed)
            raise _invalid(
                grant,
                f"replay is {grant.replay}, but a second send does harm, because its field {name} "
                f"is single use ({why}); use {choice}",
            )
