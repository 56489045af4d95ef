"""``grantway gateway``: the gateway that a TOML file describes, in the foreground."""

from __future__ import annotations

import logging

import click

from grantway_plugins.gateway.running.server import check, serve


@click.command(name="gateway")
@click.option(
    "--config",
    required=True,
    type=click.Path(),
    help="The TOML file that describes the gateway.",
)
@click.option(
    "--check", "only_check", is_flag=True, help="Report what is wrong with the file, and exit."
)
@click.option("--verbose", is_flag=True, help="Log more to standard error.")
def command(config: str, only_check: bool, verbose: bool) -> None:
    """Run a gateway that adds tokens to the requests it forwards.

    When it is ready, it prints its address. On SIGHUP it reads its file again.
    """
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    # Whoever sends what is no HTTP would fill the log with warnings.
    logging.getLogger("uvicorn.error").setLevel(logging.INFO if verbose else logging.ERROR)
    if only_check:
        click.echo(check(config))
    else:
        serve(config)
