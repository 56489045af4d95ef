"""The programs that a profile names: its provider, and one that completes its requests."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from grantway._exceptions import UnknownGrantTypeError
from grantway._plugins.default_registry import default_registry
from grantway._types.fields import GrantSchema
from grantway._types.grant import Grant
from grantway_plugins._config.components import Components
from grantway_plugins._config.toml_file import KeyPath

if TYPE_CHECKING:
    from grantway._requests.client import Client
    from grantway._types.secret_source import SecretSource
    from grantway_plugins.executable import Command

_PARAMETERS = "params_command"


class Programs:
    """The programs of one profile.

    Args:
        components: Components of the profile file.
        table: The profile's table, validated.
        at: Path of the table in the file.
    """

    def __init__(self, components: Components, table: Mapping[str, Any], at: KeyPath) -> None:
        self._components = components
        self._table = table
        self._at = at

    @cached_property
    def provider(self) -> Command | None:
        """The program that performs the token requests instead of a token endpoint, or None."""
        if "command" not in self._table["provider"]:
            return None
        return self._components.command(self._table, self._at, "provider")

    @property
    def facts(self) -> dict[str, Any]:
        """The settings of the programs and of the provider that determine the token."""
        found = {"provider": _identity(self._table["provider"])}
        if _PARAMETERS in self._table:
            found[_PARAMETERS] = _identity(self._table[_PARAMETERS])
        return found

    def registered(self, grant_type: str) -> Grant | None:
        """Return a registered grant; None for one that a program of this profile performs.

        Raises:
            UnknownGrantTypeError: No plugin registered the grant, and the profile has no program.
        """
        try:
            return default_registry().grant(grant_type)
        except UnknownGrantTypeError:
            if self.provider is None and _PARAMETERS not in self._table:
                raise
        return None

    def grant(self, grant_type: str) -> Grant:
        """Return a registered grant, or one whose parameters only the program knows.

        Raises:
            UnknownGrantTypeError: As for ``registered``.
        """
        return self.registered(grant_type) or Grant(grant_type, GrantSchema())

    def client(
        self, program: Command, grant_type: str, client_secret: str | SecretSource | None
    ) -> Client:
        """Return the client whose provider is a program."""
        from grantway_plugins.executable import executable_client  # noqa: PLC0415 - slow to load

        return executable_client(
            program,
            client_id=self._table.get("client_id", "grantway"),
            client_secret=client_secret,
            grants=[] if self.registered(grant_type) else [grant_type],
        )

    def completion(self, grant_type: str | None) -> dict[str, Any]:
        """Return the arguments of a client whose requests a program completes."""
        if _PARAMETERS not in self._table or grant_type is None:
            return {}
        from grantway_plugins.executable import executable_parameters  # noqa: PLC0415 - rarely used

        program = self._components.command(self._table, self._at, _PARAMETERS)
        return {
            "grants": [] if self.registered(grant_type) else [self.grant(grant_type)],
            "middleware": [executable_parameters(program, grant_type)],
        }


def _identity(provider: Mapping[str, Any]) -> Mapping[str, Any]:
    if "command" not in provider:
        return provider
    return {name: provider[name] for name in ("command", "output") if name in provider}


def is_text(value: object) -> bool:
    """Return whether a program can get this value: text, or a list of texts."""
    items = value if isinstance(value, (list, tuple)) else (value,)
    return all(isinstance(each, str) for each in items)
