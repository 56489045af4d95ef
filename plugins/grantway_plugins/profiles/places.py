"""Where the profiles stand. Imports nothing that Python has not loaded when it starts."""

# Importing pathlib would take longer than ``grantway token`` has.
# ruff: noqa: PTH100, PTH111, PTH117, PTH118

import os
import sys

VARIABLE = "GRANTWAY_CONFIG"
_LINUX = sys.platform == "linux"


def config_path(named: str | None = None) -> str:
    """The file of the profiles, as an absolute path; it need not be there.

    Args:
        named: The file that was asked for; without it ``GRANTWAY_CONFIG``, and then
            ``grantway/config.toml`` in the user's folder for configuration.
    """
    chosen = named or os.environ.get(VARIABLE) or _default()
    return os.path.abspath(os.path.expanduser(chosen))


def _default() -> str:
    if _LINUX:
        # What platformdirs says too, without the time that importing it takes.
        folder = os.environ.get("XDG_CONFIG_HOME", "").strip()
        if not os.path.isabs(folder):
            folder = os.path.join(os.path.expanduser("~"), ".config")
        return os.path.join(folder, "grantway", "config.toml")
    import platformdirs  # noqa: PLC0415 - only where it is needed

    return os.path.join(platformdirs.user_config_dir("grantway"), "config.toml")
