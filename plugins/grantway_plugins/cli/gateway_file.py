"""The option ``--config`` of ``grantway gateway`` and its subcommands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def gateway_file(*, required: bool = True) -> Callable[[Command], Command]:
    """Return an option that names the gateway's file once."""
    return click.option(
        "--config",
        multiple=True,  # to reject a second file, which click would use instead of the first
        required=required,
        type=click.Path(),
        callback=_single,
        help="The TOML file that describes the gateway." + ("" if required else "  [required]"),
    )


def _single(_ctx: click.Context, _option: click.Parameter, value: Sequence[str]) -> str | None:
    if len(value) > 1:
        raise click.BadParameter("give one file; a gateway has one file")
    return value[0] if value else None


class GatewayGroup(click.Group):
    """A group that explains how to name the gateway's file."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the subcommand; see ``click.Group``."""
        if args and args[0].endswith(".toml"):
            ctx.fail(f"No such command {args[0]!r}; name the gateway's file with --config.")
        return super().resolve_command(ctx, args)
