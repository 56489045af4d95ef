"""``grantway plugins``: list the installed plugins and their status."""

from __future__ import annotations

import itertools
import json
from typing import Any

import click

from grantway._plugins.default_registry import default_registry
from grantway._types.plugin_status import PluginStatus

from .plugin_commands import plugin_commands
from .terminal import Terminal

_STYLES = {"loaded": "green", "blocked": "dim", "failed": "red", "incompatible": "yellow"}


@click.command(name="plugins")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list and nothing else.")
def command(*, as_json: bool) -> None:
    """List the installed plugins and commands, and say why some are not loaded.

    The environment variable GRANTWAY_PLUGINS chooses the plugins to load. "a,b" loads only these,
    "-a,-b" loads all others, and "none" loads no plugin.
    """
    found = {
        "plugin": default_registry().plugins,
        "command": [each.status for each in plugin_commands()],
    }
    if as_json:
        shown = [
            {"kind": kind, **as_dict(each)} for kind, statuses in found.items() for each in statuses
        ]
        click.echo(json.dumps(shown, indent=2))
        return
    terminal = Terminal()
    for kind, statuses in found.items():
        if statuses:
            rows = [
                (each.path, each.version, (each.state, _STYLES[each.state]), each.source)
                for each in statuses
            ]
            terminal.table((kind, "version", "status", "source"), rows)
            terminal.line("")
    for each in itertools.chain(*found.values()):
        for reason in filter(None, (each.reason, *each.conflicts)):
            terminal.line((each.path, "bold"), f": {reason}\n")


def identity(status: PluginStatus) -> dict[str, str]:
    """Return the name and origin of a plugin as ``--json`` prints them."""
    return {
        "name": status.name,
        "owner": status.owner,
        "distribution": status.distribution,
        "version": status.version,
        "source": status.source,
    }


def as_dict(status: PluginStatus) -> dict[str, Any]:
    """Return a plugin's status as ``--json`` prints it."""
    return {
        **identity(status),
        "status": status.state,
        "reason": status.reason,
        "conflicts": status.conflicts,
    }
