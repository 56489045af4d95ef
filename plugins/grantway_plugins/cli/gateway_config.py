"""``grantway gateway config``: print the configuration of a proxy in front of a gateway."""

from __future__ import annotations

from collections.abc import Callable

import click
from marshmallow import ValidationError

from grantway_plugins._config.fields import Listen
from grantway_plugins.gateway._config import ConfigFile
from grantway_plugins.gateway._front.caddy import caddy
from grantway_plugins.gateway._front.envoy import envoy, envoy_grpc
from grantway_plugins.gateway._front.haproxy import haproxy, haproxy_lua
from grantway_plugins.gateway._front.nginx import nginx
from grantway_plugins.gateway._front.plan import Plan, plan
from grantway_plugins.gateway._front.traefik import traefik

from .gateway_file import gateway_file

_WRITERS: dict[str, Callable[[Plan], str]] = {
    "nginx": nginx,
    "envoy": envoy,
    "envoy-grpc": envoy_grpc,
    "traefik": traefik,
    "caddy": caddy,
    "haproxy": haproxy,
    "haproxy-lua": haproxy_lua,
}


@click.command(name="config")
@click.argument("proxy", type=click.Choice([*_WRITERS]))
@gateway_file()
@click.option(
    "--listen",
    default="127.0.0.1:8080",
    show_default=True,
    help="Address and port of the proxy.",
)
def command(proxy: str, config: str, listen: str) -> None:
    """Print a configuration of a proxy for the routes of a gateway's file.

    The proxy gets a token for each request from the listener [authorize] of the gateway, and
    forwards the request itself.
    """
    try:
        address = Listen().deserialize(listen)
    except ValidationError as error:
        raise click.BadParameter(error.messages[0], param_hint="'--listen'") from None
    click.echo(_WRITERS[proxy](plan(ConfigFile(config), address)), nl=False)
