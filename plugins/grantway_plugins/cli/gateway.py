"""``grantway gateway``: the gateway that a TOML file describes, in the foreground."""

from __future__ import annotations

import logging

import click

from grantway_plugins.gateway.running.server import check, serve


@click.command(name="gateway")
@click.option(
    "--config",
    required=True,
    type=click.Path(dir_okay=False),
    help="The TOML file that describes it.",
)
@click.option("--check", "only_check", is_flag=True, help="Say what is wrong with it, and end.")
@click.option("--verbose", is_flag=True, help="Say more on standard error.")
def command(config: str, only_check: bool, verbose: bool) -> None:
    """Run a gateway that puts tokens into the requests that it forwards.

    It prints where it listens when it is ready, and reads its file again on SIGHUP.
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
