"""``grantway doctor``: find problems with this installation and say how to fix them."""

from __future__ import annotations

import dataclasses
import json
import platform
import sys

import click

from grantway import __version__

from .checks import findings
from .completion import profile_names
from .options import config_option
from .terminal import Terminal

_SIGNS = {"problem": ("problem", "red"), "note": ("note", "yellow"), "ok": ("ok", "green")}


@click.command(name="doctor")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
@click.option(
    "--provider",
    default=None,
    help="Also check that this provider is reachable, and that the clocks agree.",
)
@click.option(
    "--profile",
    default=None,
    shell_complete=profile_names,
    help="Also check this profile, and that its resource still names its provider.",
)
@config_option
def command(
    *, as_json: bool, provider: str | None, profile: str | None, config: str | None
) -> None:
    """Find problems with this installation and say how to fix them.

    The command checks plugins, extras, the issuer's database, folders, network variables and the
    clock. It changes nothing, and connects only to the provider given with --provider or --profile,
    and to the resource of the profile. The exit status is 1 if there is a problem.
    """
    found = list(findings(provider, profile, config))
    problems = [each for each in found if each.level == "problem"]
    if as_json:
        report = {
            "ok": not problems,
            "grantway": __version__,
            "python": platform.python_version(),
            "findings": [dataclasses.asdict(each) for each in found],
        }
        click.echo(json.dumps(report, indent=2))
    else:
        terminal = Terminal()
        terminal.line(f"grantway {__version__}, Python {platform.python_version()}")
        for each in found:
            sign, style = _SIGNS[each.level]
            terminal.line((f"{sign:8}", style), (each.about, "bold"), f": {each.found}")
            if each.remedy:
                terminal.line((f"        -> {each.remedy}", "cyan"))
        terminal.line(f"{len(problems)} problem{'' if len(problems) == 1 else 's'}")
    if problems:
        sys.exit(1)
