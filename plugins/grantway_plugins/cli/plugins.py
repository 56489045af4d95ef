"""``grantway plugins``: what became of each plugin."""

from __future__ import annotations

import json

import click
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from grantway.plugin import PluginStatus
from grantway.process import default_registry

_STYLES = {"loaded": "green", "blocked": "dim", "failed": "red", "incompatible": "yellow"}


@click.command(name="plugins")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list and nothing else.")
def command(*, as_json: bool) -> None:
    """Show each installed plugin: who brought it, and whether it is loaded or why not.

    GRANTWAY_PLUGINS chooses which are loaded: a,b for only these, -a,-b for all but these, none.
    """
    found = default_registry().plugins
    if as_json:
        click.echo(json.dumps([as_dict(each) for each in found], indent=2))
        return
    table = folding("plugin", "version", "status", "source")
    for each in found:
        state = Text(each.state, style=_STYLES[each.state])
        table.add_row(Text(each.path), each.version, state, Text(each.source))
    console = Console(highlight=False)
    console.print(table)
    for each in found:
        if each.reason:
            reason = Text.assemble("\n", (each.path, "bold"), f": {each.reason}")
            console.print(reason, soft_wrap=True)


def folding(*columns: str) -> Table:
    """A plain table that folds what is too long: a name cut off is of no use."""
    return Table(*(Column(each, overflow="fold") for each in columns), box=None, pad_edge=False)


def as_dict(status: PluginStatus) -> dict[str, str]:
    """A plugin's status as ``--json`` prints it."""
    return {
        "name": status.name,
        "owner": status.owner,
        "distribution": status.distribution,
        "version": status.version,
        "source": status.source,
        "status": status.state,
        "reason": status.reason,
    }
