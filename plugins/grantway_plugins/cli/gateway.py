"""``grantway gateway``: run the gateway that a TOML file describes."""

from __future__ import annotations

import click

from grantway_plugins.gateway._running.logs import LogSettings
from grantway_plugins.gateway._running.server import check, serve
from grantway_plugins.server._log_format import LOG_FORMATS, LogFormat

from .gateway_config import command as config_command
from .gateway_connections import command as connections_command
from .gateway_file import GatewayGroup, gateway_file


@click.group(name="gateway", cls=GatewayGroup, invoke_without_command=True)
@gateway_file(required=False)
@click.option(
    "--check", "only_check", is_flag=True, help="Report the mistakes in the file, and exit."
)
@click.option(
    "--workers",
    type=click.IntRange(1, 1024),
    default=1,
    show_default=True,
    help="Number of processes that handle requests; one for each processor core is best.",
)
@click.option("--verbose", is_flag=True, help="Log more to standard error.")
@click.option(
    "--log-format",
    type=click.Choice(LOG_FORMATS),
    default="text",
    show_default=True,
    help="Format of the log on standard error.",
)
@click.pass_context
def command(
    ctx: click.Context,
    *,
    config: str | None,
    only_check: bool,
    workers: int,
    verbose: bool,
    log_format: LogFormat,
) -> None:
    """Run a gateway that adds tokens to the requests it forwards.

    The gateway prints its address when it is ready. On SIGHUP it reads its file again.
    """
    if ctx.invoked_subcommand is not None:
        return
    if config is None:
        raise click.MissingParameter(ctx=ctx, param_type="option", param_hint="'--config'")
    logs = LogSettings(log_format, verbose)
    if only_check:
        logs.apply()
        click.echo(check(config, workers=workers))
    else:
        serve(config, workers=workers, logs=logs)


command.add_command(config_command)
command.add_command(connections_command)
