"""Arguments and options that several commands have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from .completion import aws_names, profile_names

if TYPE_CHECKING:
    from grantway_plugins.aws._login.session import SsoSession

Command = TypeVar("Command", bound=Callable[..., Any])

#: Seconds for one call to AWS, over all attempts and waits.
_AWS_TIMEOUT = 30.0

name_argument = click.argument("name", required=False, shell_complete=profile_names)
config_option = click.option(
    "--config",
    type=click.Path(dir_okay=False),
    default=None,
    help="File of profiles. Default: GRANTWAY_CONFIG, or one in your configuration folder.",
)
sso_session_option = click.option(
    "--sso-session",
    default=None,
    shell_complete=aws_names,
    metavar="NAME",
    help="Use this session of ~/.aws/config, whose login is shared with the AWS tools.",
)

sso_profile_option = click.option(
    "--sso-profile",
    default=None,
    shell_complete=aws_names,
    metavar="NAME",
    help="Use the session of this profile of ~/.aws/config, or its own sso_start_url.",
)


def whose_login(command: Command) -> Command:
    """Add the argument NAME, and the options that choose the file or name another login."""
    for add in (sso_profile_option, sso_session_option, config_option, name_argument):
        command = add(command)
    return command


class AwsLogin(NamedTuple):
    """A login of ``~/.aws/config``.

    Attributes:
        label: What the person calls it.
        session: The login.
        settings: How to log in, from the file of the profiles.
    """

    label: str
    session: SsoSession
    settings: Mapping[str, Any]


def aws_login(
    name: str | None, config: str | None, sso_session: str | None, sso_profile: str | None
) -> AwsLogin | None:
    """Return the login of ``~/.aws/config`` that an option names, or None without one.

    Raises:
        ConfigurationError: the file, section or field that is missing or wrong.
        click.UsageError: the command names two logins.
    """
    if sum(each is not None for each in (name, sso_session, sso_profile)) > 1:
        raise click.UsageError("Give only one of NAME, --sso-session and --sso-profile.")
    if sso_session is None and sso_profile is None:
        return None
    from grantway_plugins.aws._config.sso_config import read_config  # noqa: PLC0415
    from grantway_plugins.aws._login.session import SsoSession  # noqa: PLC0415
    from grantway_plugins.profiles._sso_sessions import (  # noqa: PLC0415 - AWS's alone
        SsoSessionSettings,
    )

    label = str(sso_session or sso_profile)
    found = read_config(sso_session, profile=sso_profile)
    settings = SsoSessionSettings(found.name or label, config)
    transport = settings.transport(_AWS_TIMEOUT, found.settings.trust)
    session = SsoSession(found, transport=transport, timeout=_AWS_TIMEOUT)
    return AwsLogin(label, session, settings.table)


def profile_name(name: str | None, config: str | None) -> str:
    """Return NAME, or the only profile of the file.

    Raises:
        ConfigurationError: the file cannot be read.
        click.ClickException: it has no profile yet.
        click.UsageError: it has several.
    """
    from grantway_plugins.profiles import ProfileFile  # noqa: PLC0415 - shells complete without it
    from grantway_plugins.profiles._paths import config_path  # noqa: PLC0415

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
