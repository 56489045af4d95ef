"""The file of the profiles."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from grantway._exceptions import ConfigurationError
from grantway._processes.copies import OneProcess
from grantway._transport.http import is_loopback
from grantway._types.grant import Params
from grantway_plugins._config.file_signature import stamp_of
from grantway_plugins._config.network import NetworkTable
from grantway_plugins._config.tables import ProfileTable, SsoSessionTable
from grantway_plugins._config.toml_file import TomlFile, nearest

from ._paths import config_path

#: The tables of the file.
_TOP = ("network", "profiles", "sso_sessions")
#: A name also names a file, and stands in shells without quotes.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
#: What is more likely a host, with or without a port and a path, than a profile.
_HOST = re.compile(r"(localhost|[A-Za-z0-9.-]+\.[A-Za-z0-9-]+)(:\d+)?(/[\w./~-]*)?")


class ProfileFile(OneProcess):
    """What a file of profiles says. A mistake in one profile does not keep from another.

    Args:
        path: The file; without it ``GRANTWAY_CONFIG``, or ``grantway/config.toml`` in the user's
            folder for configuration.
        data: What it would hold, to be checked before it is written.

    Raises:
        ConfigurationError: the file cannot be read or is no TOML, or holds something else than
            profiles; names file and line.
    """

    stays = "it may hold secrets; read the file in the process that uses it"

    def __init__(self, path: str | Path | None = None, data: bytes | None = None) -> None:
        #: Whether the caller chose the file, so that a command must name it too.
        self.named = path is not None
        self.path = Path(config_path(None if path is None else str(path)))
        # Before it is read: what was changed meanwhile must not pass for what was read.
        self.stamp = stamp_of(self.path)
        self.toml = TomlFile(self.path, data)
        mistakes = [
            ((name,), f"is no key here; {nearest(name, _TOP)}")
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
        #: ``[network]``, checked: what counts for every profile that says nothing else.
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
        """What a profile says, checked.

        Raises:
            ConfigurationError: there is none of the name, or it is wrong; names file and line.
        """
        at = ("profiles", name)
        if name not in self._profiles:
            raise ConfigurationError(
                f"{self.path}: there is no profile {name!r}; {_advice(name, self._profiles)}"
            )
        if not _NAME.fullmatch(name):
            raise self.toml.wrong(
                [(at, "is no name for a profile; use letters, digits, dots, _ and -")]
            )
        if not isinstance(self._profiles[name], Mapping):
            raise self.toml.wrong([(at, f"must be a table, like [profiles.{name}]")])
        return self.toml.check(ProfileTable(), self._profiles[name], at)

    def sso_session(self, name: str) -> Params:
        """Return the settings for a session of ``~/.aws/config``, checked, or the defaults.

        Raises:
            ConfigurationError: a setting is wrong; names file and line.
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
