"""Options that several commands have."""

from __future__ import annotations

import click

config_option = click.option(
    "--config",
    type=click.Path(dir_okay=False),
    default=None,
    help="File of the profiles. Default: GRANTWAY_CONFIG, then one in your configuration folder.",
)
