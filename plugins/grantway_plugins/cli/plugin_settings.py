"""Settings of plugins for commands that use no profile."""

from __future__ import annotations

from pathlib import Path

from grantway._exceptions import ConfigurationError
from grantway_plugins._paths import config_path
from grantway_plugins.profiles._file import ProfileFile


def use_settings_in_profile_file() -> None:
    """Give the plugins their settings in the profile file, if there is a file.

    Raises:
        ConfigurationError: The file cannot be read, or has invalid tables.
    """
    try:
        path = config_path()
    except ConfigurationError:
        return  # there is no folder for it, which matters to other commands only
    if Path(path).exists():
        ProfileFile()
