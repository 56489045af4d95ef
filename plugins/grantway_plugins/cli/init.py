"""``grantway init``: create a profile for a provider or a resource without writing TOML."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Any, TypeVar

import click

from grantway_plugins._config.tables import LOGIN_METHODS

from .new_profile import NewProfile, is_interactive
from .options import config_option, issuer_option
from .terminal import Terminal

Command = TypeVar("Command", bound=Callable[..., Any])

#: Help text of the options that set one key of a profile. The profile's schema checks the values.
_SETTINGS = {
    "client_id": "The client's ID, or for a resource the URL of its Client ID Metadata Document. "
    "Without it, the first login registers a client.",
    "client_secret_env": "Environment variable that holds the client's secret.",
    "client_secret_file": "File that holds the client's secret.",
    "client_secret_keyring": "Service of the system's key ring that holds the client's secret, "
    "with the client's ID as its user name.",
    "auth": "Authentication method of the client, like client_secret_basic.",
    "grant": "A grant other than a browser or device login, like client_credentials.",
    "redirect_uri": "Redirect URI of browser logins. Default: a free port of 127.0.0.1.",
    "store": "Store for the token: file (the default), keyring or another registered store.",
    "dialect": "Dialect of the provider, like github. Default: rfc6749.",
}
_ENDPOINTS = ("token", "authorization", "device_authorization", "registration", "revocation")


def _options(command: Command) -> Command:
    for name in reversed(_ENDPOINTS):
        add = click.option(
            f"--{name.replace('_', '-')}-endpoint",
            help="Address of this endpoint, if the provider does not publish it.",
        )
        command = add(command)
    for name, meaning in reversed(_SETTINGS.items()):
        command = click.option(f"--{name.replace('_', '-')}", help=meaning)(command)
    return command


@click.command(name="init")
@click.argument("address", required=False)
@click.option("--name", default="", help="The profile's name. Default: the host of ADDRESS.")
@config_option
@issuer_option
@click.option("--scope", help='Scope to request, like "read write".')
@click.option("--login", type=click.Choice(LOGIN_METHODS), help="Login method. Default: auto.")
@click.option(
    "--param", "params", multiple=True, metavar="NAME=VALUE", help="Parameter of the grant."
)
@_options
def command(
    address: str | None,
    name: str,
    config: str | None,
    issuer: str | None,
    scope: str | None,
    *,
    login: str | None,
    params: tuple[str, ...],
    **settings: str | None,
) -> None:
    """Create a profile for the provider at ADDRESS, like https://login.example.com.

    ADDRESS can also be a protected resource, such as an API or an MCP server, like
    https://mcp.example.com/mcp, that names its provider.

    The command reads the endpoints that the provider publishes, and adds the profile to the file.
    In a terminal, it prompts for required settings that you did not give as options.
    """
    secret = _secret(settings)
    keys = [f"{each}_endpoint" for each in _ENDPOINTS]
    endpoints = {key: value for key in keys if (value := settings.pop(key))}
    ask = is_interactive()
    if address is None and "token_endpoint" not in endpoints:
        if not ask:
            raise click.UsageError("Give the provider's ADDRESS, like https://login.example.com.")
        address = click.prompt("Address of the provider, like https://login.example.com").strip()
    profile = NewProfile(
        address or "",
        config,
        name,
        {key: value for key, value in settings.items() if value is not None},
        endpoints,
        issuer,
    )
    if secret is not None:
        profile.settings["client_secret"] = secret
    if params:
        profile.settings["params"] = dict(map(_pair, params))
    if login is not None:
        profile.settings["login"] = login
    if scope is not None:
        profile.settings["scope"] = scope.split()
    terminal = Terminal()
    profile.find_resource(terminal)
    if scope is None and ask and not profile.resource:
        question = "Scope, as names separated by spaces (may be empty)"
        if scope := click.prompt(question, default="", show_default=False):
            profile.settings["scope"] = scope.split()
    if not name and (same := profile.existing()):
        raise click.ClickException(
            f"The profile {same} already has these settings. Run grantway login {same}, or use "
            "--name to create another profile."
        )
    saved = profile.save(terminal, ask=ask)
    options = "" if config is None else f" --config {shlex.quote(config)}"
    terminal.line(f"Next, run: grantway login {saved}{options}")


def _secret(settings: dict[str, str | None]) -> dict[str, str] | None:
    """Return the source of the client's secret, and remove its options."""
    found = {name: settings.pop(f"client_secret_{name}") for name in ("env", "file", "keyring")}
    given = {name: value for name, value in found.items() if value is not None}
    if not given:
        return None
    client_id = settings["client_id"]
    options = " and ".join(f"--client-secret-{name}" for name in given)
    if client_id is None:
        raise click.UsageError(f"{options} needs --client-id beside it.")
    if len(given) > 1:
        raise click.UsageError(f"{options} cannot be combined; remove one of them.")
    ((source, value),) = given.items()
    if source == "keyring":
        return {"source": source, "service": value, "username": client_id}
    return {"source": source, "name" if source == "env" else "path": value}


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise click.UsageError(f"--param {text!r}: write it as NAME=VALUE.")
    return name, value
