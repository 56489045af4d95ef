"""Read the issuer's configuration file, and report all of its mistakes at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from marshmallow import fields

from grantway._exceptions import ConfigurationError
from grantway._processes.copies import OneProcess
from grantway._secrets.hidden_arguments import hides_arguments
from grantway._secrets.params import Params
from grantway_plugins._config.components import Components
from grantway_plugins._config.fields import PathField
from grantway_plugins._config.plugin_tables import check_plugin_settings
from grantway_plugins._config.secret_field import SecretField
from grantway_plugins._config.toml_file import KeyPath, Mistake, TomlFile, mistakes_of, nearest
from grantway_plugins._paths import expand
from grantway_plugins.server._log_format import LOG_FORMATS, LogFormat

from .table import IssuerTable, Part, Place
from .tables import TABLES

_PLUGINS = "plugins"
_MISSING = "create it, or correct --config"


class IssuerFile(OneProcess):
    """The configuration file of an issuer.

    Args:
        path: Path of the file.

    Raises:
        ConfigurationError: The file cannot be read, or is not TOML; names the line.

    Attributes:
        toml: The file.
        options: The values that the file sets, after ``read``, by part and name.
        mistakes: The mistakes in the file, after ``read``.
    """

    stays = "it may hold secrets; read the file in the process that uses it"

    def __init__(self, path: str | Path) -> None:
        absolute = Path(expand(path, "--config to an absolute path")).absolute()
        self.toml = TomlFile(absolute, name="configuration file", missing=_MISSING)
        self._components = Components(self.toml)
        self.options: dict[Part, dict[str, Any]] = {}
        self.mistakes: list[Mistake] = []

    @property
    def log_format(self) -> LogFormat | None:
        """The log format, which is needed before plugins are loaded; None if it is not set."""
        server = self.toml.data.get("server")
        found = server.get("log_format") if isinstance(server, Mapping) else None
        return cast("LogFormat", found) if found in LOG_FORMATS else None

    @hides_arguments  # tables may contain secrets
    def read(self, only: str | None = None) -> None:
        """Read the tables into ``options`` and ``mistakes``.

        Args:
            only: Name of the only table to read; by default all.
        """
        data = self.toml.data
        known = {each.table: each for each in TABLES}
        names = [*known, _PLUGINS]
        self.mistakes = [
            ((name,), f"is an unknown key; {nearest(name, names)}")
            for name in data
            if name not in names and only is None
        ]
        # First, because plugins provide secret sources.
        self.mistakes += check_plugin_settings(self.toml) if _PLUGINS in data else []
        for name, kind in known.items():
            if name in data and only in {None, name}:
                self._read_tables(kind, data[name])

    def place(self, part: Part, name: str) -> KeyPath:
        """Return the path of the key that sets an option, or that would set it."""
        for kind in TABLES:
            if kind.part == part:
                for key in kind().fields:
                    if name in kind.names.get(key, (key,)):
                        return (kind.table, key)
                if name in {kind.collects, kind.table}:
                    return (kind.table,)
        return ()

    def _read_tables(self, kind: type[IssuerTable], found: Any) -> None:
        at = (kind.table,)
        if not kind.collects:
            self._add(kind, self._read_table(kind, found, at))
        elif not isinstance(found, list):
            self.mistakes.append((at, f"must be an array of tables, like [[{kind.table}]]"))
        else:
            for number, each in enumerate(found, 1):
                self._add(kind, self._read_table(kind, each, (*at, str(number))))

    def _add(self, kind: type[IssuerTable], values: Mapping[str, Any]) -> None:
        options = self.options.setdefault(kind.part, Params())
        for name, value in values.items():
            options[name] = options.get(name, ()) + value if kind.collects else value

    def _read_table(self, kind: type[IssuerTable], table: Any, at: KeyPath) -> Mapping[str, Any]:
        """Return the valid options of a table, and record its mistakes."""
        schema = kind()
        found, mistakes = self.toml.validate(schema, table, at)
        self.mistakes += mistakes
        if mistakes and kind.read is not IssuerTable.read:
            return {}  # it may need the invalid keys
        # The table may be a ``PartialTable``, whose own methods reject iteration.
        values = Params({name: dict.get(found, name) for name in dict.keys(found)})
        for name in tuple(values):
            try:
                values[name] = self._resolved(schema.fields[name], values[name], (*at, name))
            except ConfigurationError as error:
                del values[name]
                self.mistakes += mistakes_of(error)
        try:
            return kind().read(values, Place(self.toml, at, self.mistakes))
        except ConfigurationError as error:
            self.mistakes += [
                ((*at, key), rule) for key, rules in error.errors.items() for rule in rules
            ]
            return {}

    def _resolved(self, kind: object, value: Any, at: KeyPath) -> Any:
        """Return a value with its secret read, or its paths made absolute."""
        if isinstance(kind, SecretField):
            return self._components.read_secret(value, at)
        if isinstance(kind, PathField):
            return str(self._components.path(value))
        if isinstance(kind, fields.List) and isinstance(kind.inner, PathField):
            return tuple(str(self._components.path(each)) for each in value)
        return value
