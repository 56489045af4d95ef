"""``[plugins.NAME]``: the settings of plugins, which apply to the whole process."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from grantway._exceptions import ConfigurationError
from grantway._plugins.default_registry import configure, default_registry

from .toml_file import Mistake, TomlFile, mistakes_of

_AT = ("plugins",)


def use_plugin_settings(toml: TomlFile) -> Callable[[], None]:
    """Use the settings in a file for the plugins of this process.

    The next use of the default registry checks them. Its error names file and line.

    Returns:
        A function that restores the previous settings.

    Raises:
        ConfigurationError: ``plugins`` is not a table.
    """
    tables = toml.data.get("plugins", {})
    if not isinstance(tables, Mapping):
        raise toml.wrong([(_AT, "must be tables, like [plugins.acme-audit]")])
    return configure(tables, lambda error: toml.wrong(mistakes_of(error)))


def check_plugin_settings(toml: TomlFile) -> list[Mistake]:
    """Use the settings in a file, or return their mistakes and keep the previous settings."""
    try:
        restore = use_plugin_settings(toml)
    except ConfigurationError as error:
        return mistakes_of(error)
    try:
        default_registry()
    except ConfigurationError as error:
        restore()
        return mistakes_of(error)
    return []
