"""Commands that plugins add to ``grantway``, through entry points in ``grantway.commands``.

The rules for conflicts are those of the registry: the order of discovery never decides, and
grantway's own commands stay.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import click

from grantway._exceptions import PluginLoadError
from grantway._plugins import discovery
from grantway._plugins.discovery import Found
from grantway._plugins.failures import not_loaded, reason_of
from grantway._plugins.selection import VARIABLE, Selection, without
from grantway._types.callables import kind_of
from grantway._types.plugin_status import PluginStatus

from .command_names import is_command_name
from .overview import COMMANDS


def plugin_commands() -> list[Found]:
    """Return the commands of all plugins. The state of those that cannot be used says why.

    Raises:
        RegistryError: ``GRANTWAY_PLUGINS`` is invalid.
    """
    selection = Selection.of(None, ())
    found = discovery.commands()
    statuses = [each.status for each in found]
    selection.check(statuses, lambda: [each.status for each in discovery.installed()])
    for index, status in enumerate(statuses):
        if why_not := selection.why_not(status):
            statuses[index] = replace(status, state="blocked", reason=why_not)
        elif status.state == "loaded" and (problem := _problem(status)):
            statuses[index] = replace(status, state="failed", reason=problem)
    rivals = Counter(each.name for each in statuses if each.state == "loaded")
    return [
        each._replace(
            status=replace(status, state="failed", reason=_conflict(status, statuses))
            if status.state == "loaded" and rivals[status.name] > 1
            else status
        )
        for each, status in zip(found, statuses, strict=True)
    ]


def command_named(name: str) -> click.Command | None:
    """Import a command of a plugin. Return None if no plugin has one of this name.

    Raises:
        PluginLoadError: The command cannot be used; names the plugin and says why.
        RegistryError: ``GRANTWAY_PLUGINS`` is invalid.
    """
    named = [each for each in plugin_commands() if each.status.name == name]
    named.sort(key=lambda each: each.status.state != "loaded")
    return load_command(named[0]) if named else None


def load_command(found: Found) -> click.Command:
    """Import a command of a plugin.

    Raises:
        PluginLoadError: The command cannot be used; names the plugin and says why.
    """
    if found.status.state != "loaded":
        raise _unusable(found.status)
    try:
        command = found.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # such as SystemExit
        failed = replace(found.status, state="failed", reason=reason_of(error))
        raise _unusable(failed) from error
    if isinstance(command, click.Command):
        return command
    reason = (
        f"{found.status.source} is {kind_of(command)}, not a click.Command; decorate the function "
        "with @click.command()"
    )
    raise _unusable(replace(found.status, state="failed", reason=reason))


def _unusable(status: PluginStatus) -> PluginLoadError:
    return not_loaded(status, f"The command {status.named}")


def _problem(status: PluginStatus) -> str:
    """Return why a command cannot have its name; empty if it can."""
    if status.name in COMMANDS:
        return (
            f"grantway has a command of this name, and plugins cannot replace it; the author of "
            f"{status.distribution} must choose another name"
        )
    if not is_command_name(status.name):
        return (
            "its name is not valid; use letters, digits, - and _, starting with a letter or digit"
        )
    return ""


def _conflict(status: PluginStatus, statuses: list[PluginStatus]) -> str:
    owners = [each.owner for each in statuses if each.name == status.name and each != status]
    return (
        f"{' and '.join(owners)} also has a command named {status.name}. Neither is used, because "
        f"the order of discovery never decides. To exclude {status.distribution}, set "
        f"{VARIABLE}={without(status, status.distribution)} in the environment"
    )
