"""Checks of the installed plugins."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Literal

from grantway._exceptions import ConfigurationError, PluginLoadError, RegistryError
from grantway._plugins.default_registry import default_registry
from grantway._plugins.registry import Registry
from grantway._plugins.selection import VARIABLE

from .finding import Finding
from .plugin_commands import load_command, plugin_commands
from .plugin_settings import use_settings_in_profile_file


def plugin_findings() -> Iterator[Finding]:
    """Check that every plugin is loaded and no names conflict."""
    try:
        use_settings_in_profile_file()
        registry = default_registry()
    except ConfigurationError as error:
        yield Finding("problem", "plugins", str(error), "Correct the settings in the file.")
        return
    except RegistryError as error:
        remedy = (
            f"Correct {VARIABLE}." if VARIABLE in str(error) else "Uninstall the plugin it names."
        )
        yield Finding("problem", "plugins", str(error), remedy)
        return
    remedies = {
        "failed": "Fix or uninstall {owner}; to disable it until then, set {variable}=-{path}.",
        "incompatible": "Install a compatible version of {owner}, or uninstall it.",
        "blocked": "To load it, change {variable}={value}.",
    }
    for each in registry.plugins:
        about = f"plugin {each.path} ({each.owner})"
        if each.state == "loaded":
            yield Finding("ok", about, f"loaded in {each.load_seconds * 1000:.1f} ms")
            if each.reason:
                yield Finding("note", about, each.reason)
            for conflict in each.conflicts:
                found, _, remedy = conflict.partition(" To ")
                yield Finding("problem", about, found, f"To {remedy}")
        else:
            remedy = remedies[each.state].format(
                owner=each.distribution or each.owner,
                path=each.path,
                variable=VARIABLE,
                value=os.environ.get(VARIABLE, ""),
            )
            level: Literal["note", "problem"] = "note" if each.state == "blocked" else "problem"
            place = f" (at {each.failed_at})" if each.failed_at else ""
            yield Finding(level, about, f"{each.state}: {each.reason}{place}", remedy)
    yield from _unusable_references(registry)
    yield from _commands()
    loaded = sum(each.state == "loaded" for each in registry.plugins)
    yield Finding(
        "ok" if registry.grants else "problem",
        "plugins",
        f"{loaded} of {len(registry.plugins)} are loaded, with {len(registry.grants)} grants, "
        f"in {sum(each.load_seconds for each in registry.plugins) * 1000:.0f} ms",
        "" if registry.grants else "Reinstall grantway, or add grantway to GRANTWAY_PLUGINS.",
    )


def _unusable_references(registry: Registry) -> Iterator[Finding]:
    for kind, table in registry.tables.items():
        for name in table:
            try:
                table[name]
            except RegistryError as error:
                remedy = (
                    f"Fix or uninstall the plugin. The {kind.label} is not available until then."
                )
                yield Finding("problem", f"{kind.label} {name}", str(error), remedy)


def _commands() -> Iterator[Finding]:
    for each in plugin_commands():
        about = f"command {each.status.path}"
        try:
            load_command(each)
        except PluginLoadError as error:
            level: Literal["note", "problem"] = (
                "note" if each.status.state == "blocked" else "problem"
            )
            yield Finding(level, about, str(error), "Other commands are not affected.")
        else:
            yield Finding("ok", about, "can be used")
