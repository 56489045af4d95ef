"""From checked tables to what they describe: a provider, a secret, a store."""

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
from .toml_file import Mistake, PathField, TomlFile

if TYPE_CHECKING:
    from grantway._transport.http import Transport
    from grantway._types.store import Store
    from grantway._wire.dialect import Dialect

#: Where a login is pushed before the browser opens (RFC 9126).
_PUSHED = "pushed_authorization_request_endpoint"
#: How Python tells of an argument that a function does not have, and of one that it needs.
_UNKNOWN = re.compile(r"got an unexpected keyword argument '(\w+)'")
_LACKING = re.compile(r"missing \d+ required [\w-]+ arguments?: '(\w+)'")


class Components:
    """Makes what the tables of one file describe; its errors name file, line and key.

    Args:
        toml: The file.
    """

    def __init__(self, toml: TomlFile) -> None:
        self._toml = toml
        self._folder = toml.path.parent

    def dialect(self, table: Mapping[str, Any], at: PathField) -> Dialect:
        """The dialect of a provider.

        Args:
            table: A provider, as ``ProviderField`` reads it.
            at: Where it stands.

        Raises:
            ConfigurationError: no such dialect is registered.
        """
        try:
            return require_dialect(table["dialect"], default_registry().dialects)
        except ConfigurationError as error:
            problem = str(error).removeprefix("dialect: ")
        raise self._toml.wrong([((*at, "dialect"), problem)])

    def provider(
        self, table: Mapping[str, Any], at: PathField, transport: Transport | None = None
    ) -> Provider:
        """The provider; one whose endpoints are not given is asked for them.

        Args:
            table: A provider, as ``ProviderField`` reads it.
            at: Where it stands.
            transport: Asks the provider.

        Raises:
            ConfigurationError: no such dialect is registered.
            TransportError: the provider could not be asked.
        """
        dialect = self.dialect(table, at)
        own = {name: value for name, value in table.items() if name.endswith("_endpoint")}
        pushed: dict[str, Any] = {}
        if _PUSHED in own:
            # Metadata, for which a provider has no field. Naming it asks for its use.
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
        # An endpoint that the file names counts more than the one that was found.
        kept = {name: getattr(found, name) for name in found.__dataclass_fields__}
        return Provider(**{**kept, **own, "metadata": {**found.metadata, **pushed}})

    @property
    def file(self) -> Path:
        """The file."""
        return self._toml.path

    def wrong(self, mistakes: list[Mistake]) -> ConfigurationError:
        """The error for mistakes in the file."""
        return self._toml.wrong(mistakes)

    def secret(self, table: Mapping[str, Any], at: PathField) -> str | None:
        """A client's secret, from where it lies; None for a client without.

        Args:
            table: A client, as ``ClientTable`` reads it.
            at: Where it stands.

        Raises:
            ConfigurationError: it is not where the table says.
        """
        name = next((each for each in SECRETS if each in table), None)
        return None if name is None else self.secret_in(table, at, name)

    def secret_in(self, table: Mapping[str, Any], at: PathField, name: str) -> str:
        """The secret that one key of a table gives, by where it lies.

        Args:
            table: The table.
            at: Where it stands.
            name: The key, which ends with ``_env``, ``_file`` or ``_keyring``, or is the secret.

        Raises:
            ConfigurationError: it is not where the table says.
        """
        where = table[name]
        if name == "client_secret":
            return str(where)
        if name.endswith("_env"):
            found, problem = os.environ.get(where), f"names the variable {where}, which is not set"
        elif name.endswith("_file"):
            found, problem = _read(self.path(where))
        else:
            found, problem = _from_key_ring(where, table["client_id"])
        if found:
            return found
        raise self._toml.wrong([((*at, name), problem)])

    def store(self, table: Mapping[str, Any], at: PathField) -> Store:
        """A store. A relative ``folder`` is one beside the file.

        Args:
            table: A store, as ``StoreField`` reads it.
            at: Where it stands.

        Raises:
            ConfigurationError: it is not registered, or an option cannot work.
        """
        options = self._placed(table)
        try:
            return default_registry().store(options.pop("kind"), **options)
        except ConfigurationError as error:
            problem = str(error)
        except TypeError as error:  # an option that the store does not take, or must have
            problem = _told(str(error).rpartition("() ")[2])
        raise self._toml.wrong([(at, f"cannot be made: {problem}")])

    def path(self, named: str) -> Path:
        """A path of the file's, which is relative to the file's own folder."""
        return self._folder / expand(named, f"an absolute path in {self._toml.path}")

    def _placed(self, table: Mapping[str, Any]) -> dict[str, Any]:
        options = dict(table)
        if isinstance(options.get("folder"), str):
            options["folder"] = str(self.path(options["folder"]))
        if isinstance(options.get("inner"), Mapping):
            options["inner"] = self._placed(options["inner"])
        return options


def _told(problem: str) -> str:
    """What Python says of the arguments of a call, for who wrote none."""
    if found := _UNKNOWN.match(problem):
        return f"it has no option {found[1]}"
    if found := _LACKING.match(problem):
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


def _from_key_ring(service: str, user: str) -> tuple[str | None, str]:
    try:
        import keyring  # noqa: PLC0415 - an extra, and slow to load
        from keyring.errors import KeyringError  # noqa: PLC0415
    except ModuleNotFoundError:
        return None, "needs keyring; install it with: pip install 'grantway[keyring]'"
    try:
        found = keyring.get_password(service, user)
    except KeyringError as error:
        return None, f"cannot be read from the key ring ({type(error).__name__})"
    return found, (
        f"names {service}, where the key ring has nothing for {user}; "
        f"put it there with: keyring set {service} {user}"
    )
