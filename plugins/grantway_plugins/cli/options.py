"""Arguments and options that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from .completion import profile_names

Command = TypeVar("Command", bound=Callable[..., Any])

name_argument = click.argument("name", required=False, shell_complete=profile_names)
config_option = click.option(
    "--config",
    type=click.Path(dir_okay=False),
    default=None,
    help="File of the profiles. Default: GRANTWAY_CONFIG, then one in your configuration folder.",
)
sso_session_option = click.option(
    "--sso-session",
    default=None,
    metavar="NAME",
    help="A session of ~/.aws/config in place of a profile; its login is shared with AWS's tools.",
)


def whose_login(command: Command) -> Command:
    """Add the argument NAME, and the options that choose the file or name another login."""
    for add in (sso_session_option, config_option, name_argument):
        command = add(command)
    return command


def one_of(name: str | None, sso_session: str | None) -> None:
    """Reject a command that names two logins.

    Raises:
        click.UsageError: says what to give.
    """
    if name is not None and sso_session is not None:
        raise click.UsageError("Give either the NAME of a profile or --sso-session NAME.")


def profile_name(name: str | None, config: str | None) -> str:
    """Return NAME, or the only profile of the file.

    Raises:
        ConfigurationError: the file cannot be read.
        click.ClickException: it has no profile yet.
        click.UsageError: it has several.
    """
    from grantway_plugins.profiles import ProfileFile  # noqa: PLC0415 - shells complete without it
    from grantway_plugins.profiles.places import config_path  # noqa: PLC0415

    if name is not None:
        return name
    path = config_path(config)
    names = ProfileFile(config).names if Path(path).exists() else []
    if len(names) > 1:
        raise click.UsageError(f"Give the NAME of a profile of {path}: {', '.join(names)}.")
    if not names:
        raise click.ClickException(
            f"{path} has no profile yet. Make one and log in with: "
            "grantway login https://login.example.com (the address of your provider)"
        )
    return names[0]
