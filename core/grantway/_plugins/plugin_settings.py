"""Settings of plugins: tables that users write, checked by schemas that the plugins declare."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from marshmallow import Schema, ValidationError

from grantway._exceptions import ConfigurationError, GrantwayError, RegistryError
from grantway._secrets.params import Params
from grantway._secrets.redaction import scrub
from grantway._types.callables import kind_of
from grantway._types.grant import flatten
from grantway._types.plugin_status import PluginStatus

from .failures import hidden_reason, place_of

_BARE = re.compile(r"[A-Za-z0-9_-]+")


class PluginSettings:
    """The settings of all plugins.

    Args:
        tables: Name of a plugin, its distribution or ``distribution/name`` -> its settings.
    """

    def __init__(self, tables: Mapping[str, Any]) -> None:
        self._tables: dict[str, Params] = {}
        self._used: set[str] = set()
        self._errors: dict[str, list[str]] = {}
        for name, table in tables.items():
            if isinstance(table, Mapping):
                self._tables[name] = Params(table)
            else:
                self._errors[_key(name)] = ["must be a table with the settings of the plugin"]

    def load(self, status: PluginStatus, schema: Schema) -> Any:
        """Return the settings of a plugin, as its schema loads them.

        Raises:
            RegistryError: the settings are invalid.
        """
        named = [name for name in self._tables if status.goes_by(name)]
        self._used.update(named)
        if len(named) > 1:
            self._errors[_key(named[1])] = [f"is for the same plugin as {_key(named[0])}"]
            raise RegistryError("it has two tables of settings")
        failure: RegistryError | None = None
        messages: dict[str, list[str]] = {}
        try:
            loaded = schema.load(self._tables[named[0]] if named else {})
        except ValidationError as invalid:
            secrets = leaves(self._tables[named[0]]) if named else ()
            messages = {
                path: [_rule(scrub(rule, secrets)) for rule in rules]
                for path, rules in flatten(invalid.messages_dict).items()
            }
        except GrantwayError:
            raise
        except Exception as error:
            if not named:
                raise
            reason = hidden_reason(error, located=False)
            failure = RegistryError(f"the schema of its settings {reason}")
            failure.at = place_of(error, "")
        else:
            # The repr of ``Params`` shows no values, which may be secrets.
            return Params(loaded) if isinstance(loaded, dict) else loaded
        # Raised outside the except block, because the ValidationError holds the values.
        if failure is not None:
            raise failure
        if named:
            self._errors |= {_key(named[0], path): rules for path, rules in messages.items()}
        listing = "; ".join(f"{path} {rule}" for path, rules in messages.items() for rule in rules)
        table = _key(status.distribution or status.name)
        remedy = "" if named else f"; write them in a table [{table}], or pass settings="
        raise RegistryError(f"its settings are invalid: {listing}{remedy}")

    def given_to(self, status: PluginStatus) -> bool:
        """Whether the user wrote settings for a plugin."""
        return any(status.goes_by(name) for name in self._tables)

    def check(self, plugins: Iterable[PluginStatus]) -> None:
        """Raise an error for all invalid settings, and for tables of unknown plugins.

        Args:
            plugins: Every plugin, after its settings were loaded.

        Raises:
            ConfigurationError: names each table and key, without values.
        """
        known = list(plugins)
        for name in self._tables.keys() - self._used:
            found = [each for each in known if each.goes_by(name)]
            if not found:
                paths = ", ".join(sorted({each.path for each in known})) or "none"
                self._errors[_key(name)] = [f"names no plugin; installed: {paths}"]
            elif all(each.state == "loaded" for each in found):
                self._errors[_key(name)] = ["names a plugin that has no settings"]
        self.raise_errors()

    def raise_errors(self) -> None:
        """Raise an error for the invalid settings found so far.

        Raises:
            ConfigurationError: names each table and key, without values.
        """
        if self._errors:
            listing = "; ".join(
                f"{key} {rule}" for key, rules in self._errors.items() for rule in rules
            )
            raise ConfigurationError(f"{listing}.", errors=self._errors)


def check_schema(schema: object) -> Schema:
    """Return what ``grantway_register_settings`` returned, if it is a schema.

    Raises:
        RegistryError: it is something else.
    """
    if isinstance(schema, Schema):
        return schema
    raise RegistryError(
        f"grantway_register_settings returned {kind_of(schema)}, not an instance of a marshmallow "
        "schema"
    )


def leaves(value: object) -> list[str]:
    """Return the texts in a table."""
    if isinstance(value, Mapping):
        return [text for each in value.values() for text in leaves(each)]
    if isinstance(value, (list, tuple)):
        return [text for each in value for text in leaves(each)]
    return [value] if isinstance(value, str) else []


def _rule(message: str) -> str:
    """Return a message of marshmallow in the form that follows the name of a key."""
    known = {
        "Missing data for required field.": "is missing",
        "Unknown field.": "is not a setting of this plugin",
        "Field may not be null.": "must not be null",
    }
    if message.startswith("Not a"):
        message = f"is n{message[1:]}"
    elif message.startswith(("Must ", "Shorter ", "Longer ")):
        message = f"{message[0].lower()}{message[1:]}"
    return known.get(message, message.removesuffix("."))


def _key(name: str, path: str = "") -> str:
    """Return a dotted TOML key."""
    quoted = name if _BARE.fullmatch(name) else json.dumps(name)
    path = path.removesuffix("_schema").rstrip(".")  # the table as a whole
    return f"plugins.{quoted}.{path}" if path else f"plugins.{quoted}"
