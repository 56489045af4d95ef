"""Arguments and options that several commands have."""

from __future__ import annotations

import click

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


def one_of(name: str | None, sso_session: str | None) -> None:
    """Refuse a command that names no login, or two.

    Raises:
        click.UsageError: says what to give.
    """
    if (name is None) is (sso_session is None):
        raise click.UsageError("Give the NAME of a profile, or --sso-session NAME.")
