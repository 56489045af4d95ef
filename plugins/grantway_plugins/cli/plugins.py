"""``grantway plugins``: list the installed plugins and what they contribute."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

import click

from grantway._exceptions import RegistryError
from grantway._plugins.default_registry import default_registry
from grantway._types.plugin_status import PluginStatus

from .plugin_commands import plugin_commands
from .terminal import Terminal

_STYLES = {"loaded": "green", "blocked": "dim", "failed": "red", "incompatible": "yellow"}
#: What a plugin with this contribution has access to.
_ACCESS = {"middleware": " (sees secrets)"}


@click.command(name="plugins")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list and nothing else.")
def command(*, names: Sequence[str], as_json: bool) -> None:
    """List the installed plugins and commands, and say why some are not loaded.

    With names of plugins or distributions, show all that is known about those.

    The environment variable GRANTWAY_PLUGINS chooses the plugins to load. "a,b" loads only these,
    "-a,-b" loads all others, and "none" loads no plugin.
    """
    found = {
        "plugin": default_registry().plugins,
        "command": [each.status for each in plugin_commands()],
    }
    shown = {kind: _named(names, statuses) for kind, statuses in found.items()}
    if names and not any(shown.values()):
        known = ", ".join(sorted({each.path for all_of in found.values() for each in all_of}))
        raise RegistryError(f"No plugin is named {' or '.join(names)}. Installed: {known}.")
    if as_json:
        listed = [
            {"kind": kind, **as_dict(each)} for kind, statuses in shown.items() for each in statuses
        ]
        click.echo(json.dumps(listed, indent=2))
        return
    terminal = Terminal()
    for kind, statuses in shown.items():
        if names:
            for each in statuses:
                _describe(terminal, kind, each)
        elif statuses:
            _list(terminal, kind, statuses)


def _named(names: Sequence[str], statuses: Iterable[PluginStatus]) -> list[PluginStatus]:
    return [each for each in statuses if not names or any(map(each.goes_by, names))]


def _list(terminal: Terminal, kind: str, statuses: Sequence[PluginStatus]) -> None:
    rows = [
        (each.path, each.version, (each.state, _STYLES[each.state]), _load_time(each))
        for each in statuses
    ]
    terminal.table((kind, "version", "status", "load"), rows)
    terminal.line("")
    for each in statuses:
        if each.contributions:
            terminal.line((each.path, "bold"))
            for label, names in each.contributions.items():
                _paragraph(terminal, f"  {label}{_ACCESS.get(label, '')}: ", ", ".join(names))
    if any(each.contributions for each in statuses):
        terminal.line("")
    for each in statuses:
        for reason in _reasons(each):
            terminal.line((each.path, "bold"), f": {reason}\n")


def _describe(terminal: Terminal, kind: str, status: PluginStatus) -> None:
    terminal.line((status.path, "bold"))
    details = {
        "kind": kind,
        "distribution": status.owner,
        "source": status.source,
        "status": status.state,
        "load": _load_time(status),
        "hooks": ", ".join(status.hooks),
        **{
            f"{label}{_ACCESS.get(label, '')}": ", ".join(names)
            for label, names in status.contributions.items()
        },
    }
    width = max(map(len, details)) + 2
    for name, text in details.items():
        if text:
            _paragraph(terminal, f"  {name:{width}}", text)
    for reason in _reasons(status):
        terminal.line(f"  {reason}")
    terminal.line("")


def _paragraph(terminal: Terminal, start: str, text: str) -> None:
    width = max(terminal.console.width, len(start) + 20)
    indent = " " * len(start) if len(start) < width // 2 else "    "
    for line in textwrap.wrap(
        text,
        width,
        initial_indent=start,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    ):
        terminal.line(line)


def _load_time(status: PluginStatus) -> str:
    return f"{status.load_seconds * 1000:.1f} ms" if status.load_seconds else ""


def _reasons(status: PluginStatus) -> list[str]:
    place = f" (at {status.failed_at})" if status.failed_at else ""
    reason = [f"{status.reason}{place}"] if status.reason else []
    return [*reason, *status.conflicts]


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
        "failed_at": status.failed_at,
        "conflicts": status.conflicts,
        "hooks": status.hooks,
        "contributions": dict(status.contributions),
        "load_milliseconds": round(status.load_seconds * 1000, 1),
    }
