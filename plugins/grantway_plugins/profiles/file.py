"""The file of the profiles."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from grantway.exceptions import ConfigurationError
from grantway.grant import Params

from .places import config_path
from .stamp import stamp_of
from .tables import ProfileTable
from .toml_file import TomlFile, nearest

#: What other parts of grantway keep in the same file.
_TOP = ("profiles",)
#: A name also names a file, and stands in shells without quotes.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class ProfileFile:
    """What a file of profiles says. A mistake in one profile does not keep from another.

    Args:
        path: The file; without it ``GRANTWAY_CONFIG``, or ``grantway/config.toml`` in the user's
            folder for configuration.

    Raises:
        ConfigurationError: the file cannot be read or is no TOML, or holds something else than
            profiles; names file and line.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        #: Whether the caller chose the file, so that a command must name it too.
        self.named = path is not None
        self.path = Path(config_path(None if path is None else str(path)))
        # Before it is read: what was changed meanwhile must not pass for what was read.
        self.stamp = stamp_of(self.path)
        self.toml = TomlFile(self.path)
        profiles = self.toml.data.get("profiles", {})
        mistakes = [
            ((name,), f"is no key here; {nearest(name, _TOP)}")
            for name in self.toml.data
            if name not in _TOP
        ]
        if not isinstance(profiles, Mapping):
            mistakes.append((("profiles",), "must be tables, like [profiles.work]"))
        if mistakes:
            raise self.toml.wrong(mistakes)
        self._profiles: Mapping[str, Any] = profiles

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
                f"{self.path}: there is no profile {name!r}; {nearest(name, self._profiles)}."
            )
        if not _NAME.fullmatch(name):
            raise self.toml.wrong(
                [(at, "is no name for a profile; use letters, digits, dots, _ and -")]
            )
        if not isinstance(self._profiles[name], Mapping):
            raise self.toml.wrong([(at, f"must be a table, like [profiles.{name}]")])
        return self.toml.check(ProfileTable(), self._profiles[name], at)
