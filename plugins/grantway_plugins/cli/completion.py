"""``grantway completion``, and the completion of profile names and AWS logins."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

import click
from click.shell_completion import CompletionItem, ShellComplete, get_completion_class

from grantway_plugins._paths import config_path

_SHELLS = ("bash", "fish", "zsh")
#: Valid profile names; a shell needs no quotes for them.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def profile_names(
    ctx: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete the name of a profile. Return nothing if the file cannot be read."""
    try:
        data = tomllib.loads(Path(config_path(ctx.params.get("config"))).read_text("utf-8"))
        names = [name for name in data["profiles"] if name.startswith(incomplete)]
    except Exception:  # noqa: BLE001 - a shell shows no error while it completes
        return []
    return [CompletionItem(name) for name in names if _NAME.fullmatch(name)]


_HELP = """Print the completion script for SHELL. Default: your shell, from $SHELL.

\b
bash: add  eval "$(grantway completion bash)"  to ~/.bashrc
zsh:  add  eval "$(grantway completion zsh)"  to ~/.zshrc, after compinit
fish: run  grantway completion fish > ~/.config/fish/completions/grantway.fish
"""


def aws_names(
    _ctx: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete the name of a session of ``~/.aws/config``, or of a profile that has one."""
    from grantway_plugins.aws._config.config_file import (  # noqa: PLC0415 - only for AWS
        config_path as aws_config_path,
        read_sections,
    )

    try:
        found = read_sections(aws_config_path())
    except Exception:  # noqa: BLE001 - a shell shows no error while it completes
        return []
    names = list(found.sessions)
    if parameter.name == "sso_profile":
        marks = ("sso_session", "sso_start_url")
        names = [name for name, keys in found.profiles.items() if any(map(keys.get, marks))]
    return [CompletionItem(n) for n in names if n.startswith(incomplete) and _NAME.fullmatch(n)]


@click.command(name="completion", help=_HELP)
@click.argument("shell", type=click.Choice(_SHELLS), required=False)
def command(shell: str | None) -> None:
    """Print a shell's completion script."""
    shell = shell or Path(os.environ.get("SHELL", "")).name
    kind = get_completion_class(shell) if shell in _SHELLS else None
    if kind is None:
        raise click.UsageError(f"Give the name of a supported shell: {', '.join(_SHELLS)}.")
    root = click.get_current_context().find_root().command
    made = kind(root, {}, "grantway", "_GRANTWAY_COMPLETE")
    # made.source() looks for an installed bash and may print a warning.
    click.echo(ShellComplete.source(made))
