"""Find the profile file. Imports only modules that Python loads at its start."""

# Importing pathlib would slow down ``grantway token``.
# ruff: noqa: PTH100, PTH118

import os

from grantway_plugins._paths import expand, user_folder

VARIABLE = "GRANTWAY_CONFIG"
_INSTEAD = f"{VARIABLE} or --config to the profile file"


def config_path(named: str | None = None) -> str:
    """Return the absolute path of the profile file, which need not exist.

    Args:
        named: Path given by the caller; by default ``GRANTWAY_CONFIG``, or
            ``grantway/config.toml`` in the user's configuration folder.

    Raises:
        ConfigurationError: The path is below a home directory that does not exist.
    """
    chosen = named or os.environ.get(VARIABLE)
    if not chosen:
        chosen = os.path.join(user_folder("config", _INSTEAD), "config.toml")
    return os.path.abspath(expand(chosen, _INSTEAD))
