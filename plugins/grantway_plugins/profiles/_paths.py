"""Where the profiles stand. Imports nothing that Python has not loaded when it starts."""

# Importing pathlib would take longer than ``grantway token`` has.
# ruff: noqa: PTH100, PTH118

import os

from grantway_plugins._paths import expand, user_folder

VARIABLE = "GRANTWAY_CONFIG"
_INSTEAD = f"{VARIABLE} or --config to the file of the profiles"


def config_path(named: str | None = None) -> str:
    """The file of the profiles, as an absolute path; it need not be there.

    Args:
        named: The file that was asked for; without it ``GRANTWAY_CONFIG``, and then
            ``grantway/config.toml`` in the user's folder for configuration.

    Raises:
        ConfigurationError: it is below a home directory that there is not.
    """
    chosen = named or os.environ.get(VARIABLE)
    if not chosen:
        chosen = os.path.join(user_folder("config", _INSTEAD), "config.toml")
    return os.path.abspath(expand(chosen, _INSTEAD))
