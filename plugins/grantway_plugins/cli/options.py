"""Arguments and options shared by several commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from .completion import aws_names, profile_names

if TYPE_CHECKING:
    from grantway_plugins.aws._login.session import SsoSession

Command = TypeVar("Command", bound=Callable[..., Any])

#: Timeout of one call to AWS in seconds, including retries.
_AWS_TIMEOUT = 30.0

name_argument = click.argument("name", required=False, shell_complete=profile_names)
config_option = click.option(
    "--config",
    type=click.Path(dir_okay=False),
    default=None,
    help="Profile file. Default: GRANTWAY_CONFIG, or a file in your configuration folder.",
)
issuer_option = click.option(
    "--issuer",
    metavar="ADDRESS",
    help="The provider of a resource, if it names several or none.",
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


def login_options(command: Command) -> Command:
    """Add the argument NAME and the options --config, --sso-session and --sso-profile."""
    for add in (sso_profile_option, sso_session_option, config_option, name_argument):
        command = add(command)
    return command


class AwsLogin(NamedTuple):
    """A login of ``~/.aws/config``.

    Attributes:
        label: Name that the user gave.
        session: Session to use.
        settings: Login settings from the profile file.
    """

    label: str
    session: SsoSession
    settings: Mapping[str, Any]


def aws_login(
    name: str | None, config: str | None, sso_session: str | None, sso_profile: str | None
) -> AwsLogin | None:
    """Return the login of ``~/.aws/config`` chosen by an option, or None.

    Raises:
        ConfigurationError: The file, section or a field is missing or invalid.
        click.UsageError: The command names more than one login.
    """
    if sum(each is not None for each in (name, sso_session, sso_profile)) > 1:
        raise click.UsageError("Give only one of NAME, --sso-session and --sso-profile.")
    if sso_session is None and sso_profile is None:
        return None
    from grantway_plugins.aws._config.sso_config import read_config  # noqa: PLC0415
    from grantway_plugins.aws._login.session import SsoSession  # noqa: PLC0415
    from grantway_plugins.profiles._sso_sessions import (  # noqa: PLC0415 - only for AWS
        SsoSessionSettings,
    )

    label = str(sso_session or sso_profile)
    found = read_config(sso_session, profile=sso_profile)
    settings = SsoSessionSettings(found.name or label, config)
    transport = settings.transport(_AWS_TIMEOUT, found.settings.trust)
    session = SsoSession(found, transport=transport, timeout=_AWS_TIMEOUT)
    return AwsLogin(label, session, settings.table)


def profile_name(name: str | None, config: str | None) -> str:
    """Return ``name``, or by default the name of the only profile in the file.

    Raises:
        ConfigurationError: The file cannot be read.
        click.ClickException: The file has no profile.
        click.UsageError: The file has several profiles.
    """
    from grantway_plugins._paths import config_path  # noqa: PLC0415
    from grantway_plugins.profiles import ProfileFile  # noqa: PLC0415 - shells complete without it

    if name is not None:
        return name
    path = config_path(config)
    names = ProfileFile(config).names if Path(path).exists() else []
    if len(names) > 1:
        raise click.UsageError(f"Give the NAME of a profile in {path}: {', '.join(names)}.")
    if not names:
        raise click.ClickException(
            f"{path} has no profile yet. To create one and log in, run: "
            "grantway login https://login.example.com (with the address of your provider)"
        )
    return names[0]
