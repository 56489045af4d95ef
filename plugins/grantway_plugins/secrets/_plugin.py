"""Registration of the sources. Each is imported on first use."""

from __future__ import annotations

from collections.abc import Mapping

from grantway.hookspecs import hookimpl


@hookimpl
def grantway_register_secret_sources() -> Mapping[str, str]:
    """Return references to the sources by name."""
    return {
        "command": "grantway_plugins.executable._secret:CommandSource",
        "env": f"{__package__}._environment:EnvironmentSecret",
        "file": f"{__package__}._file:FileSecret",
        "keyring": f"{__package__}._keyring:KeyringSecret",
    }
