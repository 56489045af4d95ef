"""Create the providers, secrets and stores that the tables of a file describe."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grantway._exceptions import ConfigurationError
from grantway._plugins.default_registry import default_registry
from grantway._requests.provider import Provider, require_dialect
from grantway_plugins._paths import expand

from .tables import SECRETS
from .toml_file import KeyPath, Mistake, TomlFile

if TYPE_CHECKING:
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

    def secret(self, table: Mapping[str, Any], at: KeyPath) -> str | None:
        """Return a client's secret, or None if the table has no key for one.

        Args:
            table: A client, as ``ClientTable`` reads it.
            at: Path of the table in the file.

        Raises:
            ConfigurationError: The variable, file or keyring entry has no secret.
        """
        name = next((each for each in SECRETS if each in table), None)
        return None if name is None else self.secret_in(table, at, name)

    def secret_in(self, table: Mapping[str, Any], at: KeyPath, name: str) -> str:
        """Return the secret that a key of a table refers to.

        Args:
            table: The table.
            at: Path of the table in the file.
            name: The key: ``client_secret``, or a name that ends in ``_env``, ``_file`` or
                ``_keyring``.

        Raises:
            ConfigurationError: The variable, file or keyring entry has no secret.
        """
        found, problem = self.find_secret(table, name)
        if found:
            return found
        raise self._toml.wrong([((*at, name), problem)])

    def find_secret(self, table: Mapping[str, Any], name: str) -> tuple[str | None, str]:
        """Return the secret that a key of a table refers to, and the error if it is missing.

        Args:
            table: The table.
            name: The key, as for ``secret_in``.
        """
        where = table[name]
        if name == "client_secret":
            return str(where), ""
        if name.endswith("_env"):
            return os.environ.get(where), f"names the variable {where}, which is not set"
        if name.endswith("_file"):
            return _read(self.path(where))
        return _from_keyring(where, table["client_id"])

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
            problem = _argument_rule(str(error).rpartition("() ")[2])
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


def _argument_rule(problem: str) -> str:
    """Return Python's message about the arguments of a call in the terms of a file."""
    if found := _UNKNOWN.match(problem):
        return f"it has no option {found[1]}"
    if found := _MISSING.match(problem):
        return f"it needs the option {found[1]}"
    return problem


def _read(path: Path) -> tuple[str, str]:
    try:
        text = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        return "", f"names {path}, which cannot be read ({error.strerror})"
    except UnicodeDecodeError:
        return "", f"names {path}, which is not UTF-8"
    return text, f"names {path}, which is empty"


def _from_keyring(service: str, user: str) -> tuple[str | None, str]:
    try:
        import keyring  # noqa: PLC0415 - an extra, and slow to load
        from keyring.errors import KeyringError  # noqa: PLC0415
    except ModuleNotFoundError:
        return None, "needs keyring; install it with: pip install 'grantway[keyring]'"
    try:
        found = keyring.get_password(service, user)
    except KeyringError as error:
        return None, f"cannot be read from the keyring ({type(error).__name__})"
    return found, (
        f"names {service}, but the keyring has no entry of it for {user}; "
        f"to add one, run: keyring set {service} {user}"
    )
