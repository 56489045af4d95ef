"""What a grant is: a grant_type, a schema, and what a second send would do.

A grant is a value, built once and shared by every call and thread. It decides; the core acts:
a grant never sends, retries, stores or writes headers.
"""

from __future__ import annotations

import copyreg
import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, cast

from marshmallow import RAISE, Schema, ValidationError, fields, missing

from grantway._exceptions import Evidence, RequestInvalidError
from grantway._secrets.params import Params as Params  # noqa: PLC0414 - part of this module's API

from .parameter_names import ParameterNames
from .quantity import check_count
from .token import Token


class Replay(enum.Enum):
    """What happens when the same request reaches the provider twice."""

    #: No harm: the provider just issues another token (client_credentials).
    SAFE = "safe"
    #: Harmless only within the time the dialect states (refresh tokens with a reuse window).
    WINDOWED = "windowed"
    #: Single use: a second send fails, and may revoke what the first one issued.
    NEVER = "never"


class Text(fields.String):
    """A non-empty string of characters that may travel (RFC 6749 appendix A: VSCHAR).

    Args:
        example: Shown in the error, so that a reader sees what was expected.
        minimum: Least number of characters.
        maximum: Greatest number of characters.
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
        """Put the example into every message of this field."""
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


#: What a schema says of a parameter that it does not know, to people who call it from Python.
UNKNOWN_PARAMETER = "is not a parameter of this grant; provider-specific ones go into extra={...}"


class GrantSchema(Schema):
    """Base of a grant's schema: unknown names are errors, and all errors come at once."""

    class Meta:
        """A misspelt parameter must not be dropped silently."""

        unknown = RAISE

    error_messages = {  # noqa: RUF012
        "unknown": UNKNOWN_PARAMETER,
        "type": "must be a mapping of parameter names to values",
    }


@dataclass(frozen=True, eq=False)
class Grant:
    """One grant, as the registry holds it.

    Subclass it where the answer needs the grant's own judgement (see ``settle``).

    Attributes:
        grant_type: The exact, case-sensitive string on the wire.
        schema: One marshmallow instance, reused for every call. A parameter whose name on the wire
            is no name in Python, or is an argument of ``create_token``, has it as ``data_key``.
        replay: What a second send does.
        secret: Names of parameters that must never show; like those below, of fields or on the
            wire.
        repeatable: Names of parameters that may stand more than once (RFC 8707 ``resource``).
        summary: One line for tables and errors.
        single_use: Names of parameters that a provider takes once; ``replay`` must fit.
        replaces: Distribution whose grant of the same grant_type this one takes the place of.
    """

    grant_type: str
    schema: Schema
    replay: Replay = Replay.NEVER
    secret: frozenset[str] = frozenset()
    repeatable: frozenset[str] = frozenset()
    summary: str = ""
    single_use: frozenset[str] = frozenset()
    replaces: str = ""

    @cached_property
    def names(self) -> ParameterNames:
        """What its parameters are called in the schema, on the wire and once they are loaded."""
        return ParameterNames(self.schema)

    def load(self, params: Mapping[str, Any], *, partial: bool = False) -> Params:
        """Check parameters against the schema.

        Args:
            params: Names to values, without ``grant_type``. A field with a ``data_key`` is
                accepted by that name and by its own.
            partial: More will come later, so none is required yet, and no rule looks at several.

        Returns:
            What the schema makes of them, by its fields' names (or their ``attribute``).

        Raises:
            RequestInvalidError: names every field that breaks a rule; quotes no value.
        """
        try:
            given = self.names.to_wire(params)
            if partial:
                return self._load_each(given)
            return Params(cast("dict[str, Any]", self.schema.load(given)))
        except ValidationError as invalid:
            errors = _flatten(invalid.messages_dict)
        # Raised outside the except block: the ValidationError holds the values that were given.
        errors = {self.names.told(path): rules for path, rules in errors.items()}
        listing = "; ".join(
            f"{self.names.shown(name)} {rule}" for name, rules in errors.items() for rule in rules
        )
        raise RequestInvalidError(
            f"Nothing was sent: {listing} (grant_type {self.grant_type})",
            errors=errors,
            evidence=Evidence(grant_type=self.grant_type),
        )

    def _load_each(self, params: Mapping[str, Any]) -> Params:
        """Read each parameter by its own field: a schema's common rules need them all."""
        known = {wire: self.schema.fields[name] for name, wire in self.names.wire.items()}
        loaded = Params()
        errors: dict[str, Any] = {
            name: [self.schema.error_messages["unknown"]] for name in params if name not in known
        }
        for name in params.keys() & known.keys():
            try:
                field = known[name]
                loaded[field.attribute or str(field.name)] = field.deserialize(params[name])
            except ValidationError as invalid:
                errors[name] = invalid.messages
        if errors:
            raise ValidationError(errors)
        return loaded

    def settle(self, params: Mapping[str, Any], token: Token) -> Token:
        """Turn the provider's token into the caller's; by default, return it unchanged.

        Args:
            params: What was sent, as ``load`` returned it.
            token: What came back.
        """
        return token


def _the_missing() -> Any:
    return missing


# Fields compare with marshmallow's marker by identity, so a pickled schema must keep that object.
# Otherwise a parameter that was left out is sent with the marker as its value.
copyreg.pickle(type(missing), lambda _: (_the_missing, ()))


class IssuerGrant(Protocol):
    """The issuer's side of a grant: may these tokens be issued?

    The registry passes it on unchanged; ``grantway_plugins.issuer`` calls it.
    """

    def decide(self, request: Any, transaction: Any) -> Any:
        """Decide a token request that satisfies the grant's schema.

        The issuer may call this twice for one request, so change nothing but the transaction, and
        consume in the same transaction what the request redeems.

        Args:
            request: A ``grantway_plugins.issuer.GrantRequest``.
            transaction: A ``grantway_plugins.issuer.Transaction``.

        Returns:
            A ``grantway_plugins.issuer.Issue`` or ``Denial``.
        """
        ...


def _flatten(messages: Mapping[str, Any], prefix: str = "") -> dict[str, list[str]]:
    """Bring marshmallow's nested messages to ``field.0.name -> rules``."""
    flat: dict[str, list[str]] = {}
    for name, rules in messages.items():
        path = f"{prefix}{name}"
        if isinstance(rules, Mapping):
            flat.update(_flatten(rules, f"{path}."))
        else:
            flat[path] = [str(rule) for rule in rules]
    return flat
