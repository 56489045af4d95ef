"""Grants: a grant_type, a schema, and whether a request may be repeated.

A grant is immutable and shared by all calls and threads. It never sends, retries, stores or writes
headers; the core does.
"""

from __future__ import annotations

import copyreg
import enum
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from marshmallow import Schema, ValidationError, missing

from grantway._exceptions import Evidence, RequestInvalidError
from grantway._secrets.params import Params

from .parameter_names import ParameterNames
from .schema_loader import SchemaLoader
from .token import Token


class Replay(enum.Enum):
    """The effect of sending the same request to the provider twice."""

    #: Safe: the provider issues another token (client_credentials).
    SAFE = "safe"
    #: Safe within the dialect's ``replay_window`` (refresh tokens with a reuse window).
    WINDOWED = "windowed"
    #: Single use: a second send fails and may revoke the tokens of the first.
    NEVER = "never"


@dataclass(frozen=True, eq=False)
class Grant:
    """A grant: a grant_type, its parameters and its replay class.

    Subclass it to check or change the token of a response (see ``process_token``).

    Attributes:
        grant_type: The case-sensitive ``grant_type`` parameter (RFC 6749 section 4).
        schema: A marshmallow schema instance, reused for every call. Set ``data_key`` for a
            parameter whose name is not a Python identifier or is an argument of ``create_token``.
        replay: The effect of sending a request twice.
        secret: Names of parameters to redact. Here and below, field names and wire names are
            accepted.
        repeatable: Names of parameters that may occur more than once (RFC 8707 ``resource``).
        summary: A one-line description for tables and errors.
        single_use: Names of parameters that a provider accepts once; ``replay`` must be consistent.
        replaces: The distribution whose grant of the same grant_type this one replaces.
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
        """The names of the parameters in the schema, on the wire and after loading."""
        return ParameterNames(self.schema)

    @cached_property
    def _loader(self) -> SchemaLoader:
        return SchemaLoader(self.schema)

    def load(self, params: Mapping[str, Any], *, partial: bool = False) -> Params:
        """Return the parameters after checking them against the schema.

        Args:
            params: Names to values, without ``grant_type``. A field with a ``data_key`` is
                accepted by that name and by its own.
            partial: Skip required fields and schema-level rules, because more parameters will
                follow.

        Returns:
            The loaded values by field name (or ``attribute``).

        Raises:
            RequestInvalidError: lists every invalid field, without values.
        """
        try:
            given = self.names.to_wire(params)
            if partial:
                return self._load_each(given)
            return Params(self._loader.load(given))
        except ValidationError as invalid:
            errors = flatten(invalid.messages_dict)
        # Raised outside the except block, because the ValidationError holds the values.
        errors = {self.names.wire_path(path): rules for path, rules in errors.items()}
        listing = "; ".join(
            f"{self.names.shown(name)} {rule}" for name, rules in errors.items() for rule in rules
        )
        raise RequestInvalidError(
            f"Nothing was sent: {listing} (grant_type {self.grant_type})",
            errors=errors,
            evidence=Evidence(grant_type=self.grant_type),
        )

    def _load_each(self, params: Mapping[str, Any]) -> Params:
        """Load each parameter by its own field, without the schema-level rules."""
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

    def process_token(self, params: Mapping[str, Any], token: Token) -> Token:
        """Turn the provider's token into the caller's; by default, return it unchanged.

        Args:
            params: The sent parameters, as ``load`` returned them.
            token: The token from the response.
        """
        return token


def _the_missing() -> Any:
    return missing


# marshmallow compares ``missing`` by identity, so unpickling must return the same object.
# Otherwise an omitted parameter would be sent with the marker as its value.
copyreg.pickle(type(missing), lambda _: (_the_missing, ()))


class IssuerGrant(Protocol):
    """The issuer's decision for a grant.

    Called by ``grantway_plugins.issuer``.
    """

    def decide(self, request: Any, transaction: Any) -> Any:
        """Decide on a token request that satisfies the grant's schema.

        The issuer may call this twice for one request, so change only the transaction, and consume
        codes and tokens in it.

        Args:
            request: A ``grantway_plugins.issuer.GrantRequest``.
            transaction: A ``grantway_plugins.issuer.Transaction``.

        Returns:
            A ``grantway_plugins.issuer.Issue`` or ``Denial``.
        """
        ...


def flatten(messages: Mapping[str, Any], prefix: str = "") -> dict[str, list[str]]:
    """Flatten marshmallow's nested messages to ``field.0.name -> rules``."""
    flat: dict[str, list[str]] = {}
    for name, rules in messages.items():
        path = f"{prefix}{name}"
        if isinstance(rules, Mapping):
            flat.update(flatten(rules, f"{path}."))
        else:
            flat[path] = [str(rule) for rule in rules]
    return flat
