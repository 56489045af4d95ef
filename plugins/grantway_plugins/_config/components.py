"""Create the providers, secrets and stores that the tables of a file describe."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from grantway._exceptions import ConfigurationError, PluginLoadError, SecretUnavailableError
from grantway._plugins.default_registry import default_registry
from grantway._requests.provider import Provider, require_dialect
from grantway._secrets.params import Params
from grantway_plugins._paths import expand
from grantway_plugins.executable import Command

from .secret_field import is_source
from .toml_file import KeyPath, Mistake, TomlFile, dotted, nearest

if TYPE_CHECKING:
    from grantway._requests.cached_source import CachedSource
    from grantway._transport.http import Transport
    from grantway._types.store import Store
    from grantway._wire.dialect import Dialect

#: Endpoint for pushed authorization requests (RFC 9126).
_PUSHED = "pushed_authorization_request_endpoint"
#: Python's messages about an unknown and a missing argument.
_UNKNOWN = re.compile(r"got an unexpected keyword argument '(\w+)'")
_MISSING = re.compile(r"missing \d+ required [\w-]+ arguments?: '(\w+)'")


class Components:
    """Creates the components described in one file. Errors name file, line and key.

    Args:
        toml: The file.
    """

    def __init__(self, toml: TomlFile) -> None:
        self._toml = toml
        self._folder = toml.path.parent
        self._sources: dict[KeyPath, CachedSource] = {}

    def dialect(self, table: Mapping[str, Any], at: KeyPath) -> Dialect:
        """Return the dialect of a provider.

        Args:
            table: A provider, as ``ProviderField`` reads it.
            at: Path of the table in the file.

        Raises:
            ConfigurationError: The dialect is not registered.
        """
        try:
            return require_dialect(table["dialect"], default_registry().dialects)
        except ConfigurationError as error:
            problem = str(error).removeprefix("dialect: ")
        raise self._toml.wrong([((*at, "dialect"), problem)])

    def provider(
        self, table: Mapping[str, Any], at: KeyPath, transport: Transport | None = None
    ) -> Provider:
        """Return the provider, after reading its metadata if the table lacks a token endpoint.

        Args:
            table: A provider, as ``ProviderField`` reads it.
            at: Path of the table in the file.
            transport: Transport that fetches the metadata.

        Raises:
            ConfigurationError: The dialect is not registered.
            TransportError: The provider sent no usable metadata.
        """
        dialect = self.dialect(table, at)
        own = {name: value for name, value in table.items() if name.endswith("_endpoint")}
        pushed: dict[str, Any] = {}
        if _PUSHED in own:
            # ``Provider`` has no field for it. If the file sets it, logins must use it.
            pushed = {_PUSHED: own.pop(_PUSHED), "require_pushed_authorization_requests": True}
        if "token_endpoint" in table:
            rest = {"issuer": table["issuer"]} if "issuer" in table else {}
            return Provider(**own, **rest, dialect=dialect, metadata=pushed)
        found = Provider.discover(
            table["issuer"],
            dialect=dialect,
            expected_issuer=table.get("expected_issuer"),
            transport=transport,
        )
        if not own and not pushed:
            return found
        # An endpoint in the file has precedence over the provider's metadata.
        fields = {name: getattr(found, name) for name in found.__dataclass_fields__}
        return Provider(**{**fields, **own, "metadata": {**found.metadata, **pushed}})

    @property
    def file(self) -> Path:
        """Path of the file."""
        return self._toml.path

    def wrong(self, mistakes: list[Mistake]) -> ConfigurationError:
        """Return the error that reports mistakes in the file."""
        return self._toml.wrong(mistakes)

    def secret(self, value: str | Mapping[str, Any], at: KeyPath) -> str | CachedSource:
        """Return a secret, or its source, which is read when the secret is needed.

        Args:
            value: The value of a key, as ``SecretField`` reads it.
            at: Path of the key in the file.

        Raises:
            ConfigurationError: The source is not registered, or an option is invalid.
        """
        if isinstance(value, str):
            return value
        if at not in self._sources:
            self._sources[at] = self._source(value, at)
        return self._sources[at]

    def read_secret(self, value: str | Mapping[str, Any], at: KeyPath) -> str:
        """Return a secret now.

        Args:
            value: As for ``secret``.
            at: As for ``secret``.

        Raises:
            ConfigurationError: As for ``secret``, or the source cannot be read.
        """
        found = self.secret(value, at)
        if isinstance(found, str):
            return found
        try:
            return found.read().value
        except SecretUnavailableError as error:
            problem = error.message
        raise self._toml.wrong([(at, f"is not available: {problem}")])

    def client_secrets(self, table: Mapping[str, Any], at: KeyPath) -> Params:
        """Return the secret, assertion and assertion type of a client, as arguments of ``Client``.

        Args:
            table: A client, as ``ClientTable`` reads it.
            at: Path of the table in the file.

        Raises:
            ConfigurationError: As for ``secret``.
        """
        found = Params(
            {
                name: self.secret(table[name], (*at, name))
                for name in ("client_secret", "client_assertion")
                if name in table
            }
        )
        if "client_assertion_type" in table:
            found["client_assertion_type"] = table["client_assertion_type"]
        return found

    def params(self, table: Mapping[str, Any], at: KeyPath) -> Params:
        """Return parameters of a grant, with sources in place of the tables that name one.

        Args:
            table: The parameters.
            at: Path of the table in the file.

        Raises:
            ConfigurationError: As for ``secret``.
        """
        return Params(
            {
                name: self.secret(value, (*at, name)) if is_source(value) else value
                for name, value in table.items()
            }
        )

    def _source(self, value: Mapping[str, Any], at: KeyPath) -> CachedSource:
        options = Params(value)
        name = options.pop("source")
        known = default_registry().secret_sources
        if name not in known:
            rule = f"is not a known secret source: {name}; {nearest(name, known)}"
            raise self._toml.wrong([((*at, "source"), rule)])
        try:
            for each in getattr(known[name], "path_options", ()):
                if isinstance(options.get(each), str):
                    options[each] = str(self.path(options[each]))
            if folder := getattr(known[name], "folder_option", ""):
                options.setdefault(folder, str(self._folder))
            made = cast("CachedSource", default_registry().secret_source(name, **options))
        except (ConfigurationError, PluginLoadError) as error:
            problem = str(error)
        except TypeError as error:  # an unknown option, or a required one is missing
            problem = argument_rule(error)
        else:
            made.where = f"{self._toml.place(at)}: {dotted(at)}"
            return made
        raise self._toml.wrong([(at, f"cannot be created: {problem}")])

    def command(self, table: Mapping[str, Any], at: KeyPath, name: str) -> Command:
        """Return the program that a key of a table names. Its path starts at the file's folder.

        Args:
            table: The table.
            at: Path of the table in the file.
            name: The key, as ``CommandTable`` reads it.
        """
        setting = f"{self._toml.place((*at, name))}: {dotted((*at, name))}"
        return Command(**table[name], folder=self._folder, setting=setting)

    def store(self, table: Mapping[str, Any], at: KeyPath) -> Store:
        """Return a store. A relative ``folder`` starts at the folder of the file.

        Args:
            table: A store, as ``StoreField`` reads it.
            at: Path of the table in the file.

        Raises:
            ConfigurationError: The store is not registered, or an option is invalid.
        """
        options = self._with_absolute_paths(table)
        try:
            return default_registry().store(options.pop("kind"), **options)
        except ConfigurationError as error:
            problem = str(error)
        except TypeError as error:  # an unknown option, or a required one is missing
            problem = argument_rule(error)
        raise self._toml.wrong([(at, f"cannot be created: {problem}")])

    def path(self, named: str) -> Path:
        """Return a path given in the file. Relative paths start at the folder of the file."""
        return self._folder / expand(named, f"an absolute path in {self._toml.path}")

    def _with_absolute_paths(self, table: Mapping[str, Any]) -> dict[str, Any]:
        options = dict(table)
        if isinstance(options.get("folder"), str):
            options["folder"] = str(self.path(options["folder"]))
        if isinstance(options.get("inner"), Mapping):
            options["inner"] = self._with_absolute_paths(options["inner"])
        return options


def argument_rule(error: TypeError) -> str:
    """Return Python's message about the arguments of a call in the terms of a file."""
    problem = str(error).rpartition("() ")[2]
    if found := _UNKNOWN.match(problem):
        return f"it has no option {found[1]}"
    if found := _MISSING.match(problem):
        return f"it needs the option {found[1]}"
    return problem
