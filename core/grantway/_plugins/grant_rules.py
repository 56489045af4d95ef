"""The rules for grants, checked at registration."""

from __future__ import annotations

import inspect
import re
from functools import cache, lru_cache
from typing import Any

from marshmallow import RAISE, Schema

from grantway._exceptions import GrantInvalidError
from grantway._types.callables import is_async, kind_of
from grantway._types.grant import Grant, Replay
from grantway._types.parameter_names import nested_schemas

#: Parameters that the core sets.
RESERVED = frozenset(
    {"grant_type", "client_id", "client_secret", "client_assertion", "client_assertion_type"}
)
#: Parameters that an RFC defines as single use -> allowed replay classes.
_SINGLE_USE = {
    "code": (frozenset({Replay.NEVER}), "RFC 6749 section 4.1.2"),
    "refresh_token": (frozenset({Replay.NEVER, Replay.WINDOWED}), "RFC 9700 section 4.14"),
}
# RFC 6749 appendix A.10: a name or a URI; neither has a space.
_GRANT_TYPE = re.compile(r"[\x21-\x7e]+")


def check_grant(grant: object) -> None:
    """Reject an invalid or harmful grant.

    Raises:
        GrantInvalidError: says what is wrong and how to fix it.
    """
    if not isinstance(grant, Grant):
        raise GrantInvalidError(
            f"grantway_register_grants returned {kind_of(grant)}, not a grantway.Grant"
        )
    if not isinstance(grant.grant_type, str) or not grant.grant_type.strip():
        raise GrantInvalidError("a grant has an empty grant_type; set it to the value that is sent")
    if not _GRANT_TYPE.fullmatch(grant.grant_type):
        raise GrantInvalidError(
            f"the grant_type {grant.grant_type!a} has a space or a character that is not ASCII"
        )
    _check_schema(grant)
    _check_named_fields(grant)
    _check_replay(grant)
    if not isinstance(grant.replaces, str):
        raise _invalid(grant, "replaces must be the name of a distribution")


def _invalid(grant: Grant, problem: str) -> GrantInvalidError:
    return GrantInvalidError(f"the grant {grant.grant_type}: {problem}")


def _check_schema(grant: Grant) -> None:
    schema: object = grant.schema
    if inspect.isclass(schema) and issubclass(schema, Schema):
        raise _invalid(grant, f"its schema is a class; use an instance, {schema.__name__}()")
    if not isinstance(schema, Schema):
        raise _invalid(
            grant,
            f"its schema must be an instance of a marshmallow schema, not {schema!r:.80}; "
            "use GrantSchema() for no parameters",
        )
    for path, each in nested_schemas(schema):
        if each.unknown != RAISE:
            raise _invalid(
                grant,
                f"its schema{path} accepts unknown fields (unknown={each.unknown!r}), so a "
                "misspelt parameter would be dropped or sent unchecked; subclass GrantSchema, or "
                "set unknown=RAISE (pass provider-specific parameters in extra={...})",
            )
        _check_names(grant, path, each)
        _check_synchronous(grant, f"its schema{path}", each)
        for name, field in each.fields.items():
            _check_synchronous(grant, f"its field{path}.{name}", field)
    _check_synchronous(grant, "the grant", grant)
    if taken := sorted(RESERVED & set(grant.names.wire.values())):
        raise _invalid(
            grant,
            f"its schema has {', '.join(taken)}, which grantway sets; remove it",
        )
    for name in sorted(_arguments() & set(schema.fields)):
        raise _invalid(
            grant,
            f"its field {name} has the name of an argument of create_token or credential, so "
            f"callers could not pass it; rename the field and keep its wire name: "
            f'{name}_value = Text(..., data_key="{name}")',
        )


def _check_names(grant: Grant, path: str, schema: Schema) -> None:
    """Reject names that cannot be sent. marshmallow rejects duplicate names."""
    for name, field in schema.fields.items():
        sent, kept = field.data_key or name, field.attribute or name
        if field.data_key == "" or not _GRANT_TYPE.fullmatch(sent):
            raise _invalid(
                grant,
                f"data_key={field.data_key!a} of its field{path}.{name} is empty, or has a space "
                "or a character that is not ASCII",
            )
        if "." in kept:
            raise _invalid(
                grant,
                f"attribute={field.attribute!r} of its field{path}.{name} has a dot, so "
                "marshmallow would nest the value; remove attribute, and use data_key for the wire "
                "name",
            )


def _check_synchronous(grant: Grant, what: str, part: Any) -> None:
    """Reject asynchronous functions, which marshmallow and grantway would not await."""
    if name := _asynchronous_name(part.__class__):
        raise _invalid(
            grant, f"{name} of {what} is asynchronous (async def); make it a plain function"
        )
    for validator in getattr(part, "validators", ()):
        if is_async(validator):
            raise _invalid(grant, f"a validator of {what} is asynchronous; make it a function")


@lru_cache(maxsize=128)  # grants share the classes of their fields
def _asynchronous_name(kind: type) -> str | None:
    """Return the name of an asynchronous function of a class, or None."""
    for base in kind.__mro__:
        for name in _asynchronous_members(base):
            if next(each for each in kind.__mro__ if name in vars(each)) is base:
                return name
    return None


@lru_cache(maxsize=128)  # grants share the base classes of their schemas and fields
def _asynchronous_members(kind: type) -> tuple[str, ...]:
    """Return the names of the asynchronous functions that a class itself defines."""
    return tuple(
        name for name, one in vars(kind).items() if not name.startswith("__") and is_async(one)
    )


@cache
def _arguments() -> frozenset[str]:
    """Return the names of the arguments that ``create_token`` and ``credential`` define."""
    from grantway._requests.client import (  # noqa: PLC0415 - it imports the registry, which imports this
        Client,
    )

    calls = (Client.create_token, Client.credential, Client.credential_pool)
    return frozenset(
        each.name
        for call in calls
        for each in inspect.signature(call).parameters.values()
        if each.kind is not each.VAR_KEYWORD
    )


def _check_named_fields(grant: Grant) -> None:
    for attribute in ("secret", "repeatable", "single_use"):
        named = getattr(grant, attribute)
        if isinstance(named, str) or not all(isinstance(name, str) for name in named):
            raise _invalid(grant, f'{attribute} must be names, like frozenset({{"code"}})')
        if named and (lost := sorted(set(named) - grant.names.all_of(grant.schema.fields))):
            raise _invalid(
                grant,
                f"{attribute} names {', '.join(lost)}, which is not in its schema; "
                f"the schema has {', '.join(sorted(grant.schema.fields)) or 'no fields'}",
            )


def _check_replay(grant: Grant) -> None:
    if not isinstance(grant.replay, Replay):
        raise _invalid(grant, f"replay must be a grantway.Replay, not {grant.replay!r:.80}")
    single_use = grant.names.all_of(grant.single_use)
    for name in sorted((single_use | _SINGLE_USE.keys()) & set(grant.names.wire.values())):
        allowed, why = _SINGLE_USE.get(name, (frozenset(Replay), ""))
        if name in single_use:
            allowed, why = allowed - {Replay.SAFE}, why or "it is in single_use"
        if grant.replay not in allowed:
            choice = " or ".join(f"Replay.{each.name}" for each in Replay if each in allowed)
            raise _invalid(
                grant,
                f"replay is {grant.replay}, but a second send is harmful, because its field {name} "
                f"is single-use ({why}); use {choice}",
            )
