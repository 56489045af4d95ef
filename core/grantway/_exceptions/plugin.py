"""Errors of plugins: at registration and during a call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import Evidence, GrantwayError

if TYPE_CHECKING:
    from grantway._types.token import Token


class PluginError(GrantwayError):
    """A plugin's code broke its contract during a call. The message names the plugin.

    Attributes:
        plugin: The plugin and the distribution that owns it.
        token: The token that the provider had issued by then, or None.
    """

    code = "plugin_failed"

    def __init__(
        self,
        message: str,
        *,
        plugin: str = "",
        token: Token | None = None,
        evidence: Evidence | None = None,
    ) -> None:
        super().__init__(message, evidence=evidence)
        self.plugin = plugin
        self.token = token


class RegistryError(GrantwayError):
    """The registry cannot be built from these plugins.

    Attributes:
        at: File and line of the plugin's function that breaks a rule; empty if unknown.
    """

    code = "registry_error"
    at: str = ""


class GrantConflictError(RegistryError):
    """Two plugins register the same name. The message names both, with their versions."""

    code = "grant_conflict"


class GrantInvalidError(RegistryError):
    """A grant is invalid: no schema, an empty grant_type, ..."""

    code = "grant_invalid"


class PluginLoadError(RegistryError):
    """A plugin could not be loaded. The message names it, the distribution and the reason."""

    code = "plugin_load_failed"


class PluginIncompatibleError(PluginLoadError):
    """A plugin requires another version of the hooks. The message names both versions."""

    code = "plugin_incompatible"
