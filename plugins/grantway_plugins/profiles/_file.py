"""The profile file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from grantway._exceptions import ConfigurationError
from grantway._processes.copies import OneProcess
from grantway._secrets.params import Params
from grantway._transport.http import is_loopback
from grantway_plugins._config.network import NetworkTable
from grantway_plugins._config.tables import ProfileTable, SsoSessionTable
from grantway_plugins._config.toml_file import TomlFile, nearest
from grantway_plugins._file_signature import file_signature
from grantway_plugins._paths import config_path

#: Top-level tables of the file.
_TOP = ("network", "plugins", "profiles", "sso_sessions")
#: Valid profile names; they are also file names, and need no quotes in shells.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
#: Text that is more likely a host, with or without a port and a path, than a profile's name.
_HOST = re.compile(r"(localhost|[A-Za-z0-9.-]+\.[A-Za-z0-9-]+)(:\d+)?(/[\w./~-]*)?")


class ProfileFile(OneProcess):
    """A profile file. A mistake in one profile does not affect the others.

    The settings in ``[plugins]`` apply to the whole process, until another file is read.

    Args:
        path: Path of the file; by default ``GRANTWAY_CONFIG``, or ``grantway/config.toml`` in the
            user's configuration folder.
        data: Content to use instead of reading the file, to validate it before it is written.

    Attributes:
        path: Path of the file.
        named: Whether the caller gave the path, so that suggested commands need ``--config``.
        signature: Signature of the file before it was read.
        toml: The parsed file.
        network: The table ``[network]``, validated: defaults for all profiles.

    Raises:
        ConfigurationError: The file cannot be read, is not TOML, or has invalid top-level tables;
            names file and line.
    """

    stays = "it may hold secrets; read the file in the process that uses it"

    def __init__(self, path: str | Path | None = None, data: bytes | None = None) -> None:
        self.named = path is not None
        self.path = Path(config_path(None if path is None else str(path)))
        # Before reading the file, so that a change during reading is noticed later.
        self.signature = file_signature(self.path)
        self.toml = TomlFile(self.path, data)
        mistakes = [
            ((name,), f"is an unknown key; {nearest(name, _TOP)}")
            for name in self.toml.data
            if name not in _TOP
        ]
        if not isinstance(self.toml.data.get("network", {}), Mapping):
            mistakes.append((("network",), "must be a table, like [network]"))
        for name, example in (("profiles", "profiles.work"), ("sso_sessions", "sso_sessions.work")):
            if not isinstance(self.toml.data.get(name, {}), Mapping):
                mistakes.append(((name,), f"must be tables, like [{example}]"))
        if mistakes:
            raise self.toml.wrong(mistakes)
        if "plugins" in self.toml.data:
            from grantway_plugins._config.plugin_tables import (  # noqa: PLC0415 - slow to load
                use_plugin_settings,
            )

            use_plugin_settings(self.toml)
        self.network = self.toml.check(
            NetworkTable(), self.toml.data.get("network", {}), ("network",)
        )
        self._profiles: Mapping[str, Any] = self.toml.data.get("profiles", {})
        self._sso_sessions: Mapping[str, Any] = self.toml.data.get("sso_sessions", {})

    @property
    def names(self) -> list[str]:
        """The names of the profiles, in the order of the file."""
        return list(self._profiles)

    def table(self, name: str) -> Params:
        """Return the table of a profile, validated.

        Raises:
            ConfigurationError: The profile does not exist or is invalid; names file and line.
        """
        at = ("profiles", name)
        if name not in self._profiles:
            raise ConfigurationError(
                f"{self.path}: no profile is named {name!r}; {_advice(name, self._profiles)}"
            )
        if not _NAME.fullmatch(name):
            raise self.toml.wrong(
                [(at, "is not a valid profile name; use letters, digits, dots, _ and -")]
            )
        if not isinstance(self._profiles[name], Mapping):
            raise self.toml.wrong([(at, f"must be a table, like [profiles.{name}]")])
        return self.toml.check(ProfileTable(), self._profiles[name], at)

    def sso_session(self, name: str) -> Params:
        """Return the settings for a session of ``~/.aws/config``, validated, or the defaults.

        Raises:
            ConfigurationError: A setting is invalid; names file and line.
        """
        at = ("sso_sessions", name)
        table = self._sso_sessions.get(name, {})
        if not isinstance(table, Mapping):
            raise self.toml.wrong([(at, f"must be a table, like [sso_sessions.{name}]")])
        return self.toml.check(SsoSessionTable(), table, at)


def _advice(name: str, known: Iterable[str]) -> str:
    """Suggest a profile, or a login by address if the name looks like a host."""
    suggestion = nearest(name, known)
    end = "" if suggestion.endswith("?") else "."
    if found := _HOST.fullmatch(name):
        scheme = "http" if is_loopback(found[1]) else "https"
        end += f" To add one for this provider, run: grantway login {scheme}://{name}"
    return suggestion + end
