"""``grantway login``: log in, and store the token."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, cast

import click

from grantway_plugins.profiles import load
from grantway_plugins.stores._shared.write_check import check_store_writable

from .login_methods import ChosenMethod, LoginMethod, why_no_browser
from .login_screen import LoginScreen
from .new_profile import NewProfile, is_interactive
from .options import aws_login, issuer_option, login_options, profile_name
from .profile_login import BROWSER_TIMEOUT, INTERRUPTED, explain, log_in_to_profile
from .profile_status import expires_in
from .terminal import Terminal

if TYPE_CHECKING:
    from grantway_plugins.aws._login.session import SsoSession

#: Seconds to wait for the lock of the store.
_LOCK_TIMEOUT = 30.0


@click.command(name="login")
@login_options
@click.option(
    "--device", "method", flag_value="device", help="Log in on another device with a code."
)
@click.option(
    "--browser", "method", flag_value="browser", help="Log in with the browser of this machine."
)
@click.option(
    "--paste",
    "method",
    flag_value="paste",
    help="Log in with any browser and paste the final address here.",
)
@click.option(
    "--listen",
    metavar="ADDRESS[:PORT]",
    help="Address to listen on for the redirect, for example the published port of a container.",
)
@click.option(
    "--port",
    "ports",
    type=click.IntRange(1, 65535),
    multiple=True,
    help="Port of the redirect URI. Repeat to try several in order.",
)
@click.option(
    "--client-id",
    help="ID of an existing client, or for a resource the URL of its Client ID Metadata Document. "
    "Only with an address.",
)
@issuer_option
@click.option(
    "--scope",
    help='Scope to request, like "read write". An existing login also keeps the scope that it has.',
)
def command(
    name: str | None,
    config: str | None,
    sso_session: str | None,
    sso_profile: str | None,
    method: LoginMethod | None,
    *,
    client_id: str | None,
    issuer: str | None,
    scope: str | None,
    listen: str | None,
    ports: tuple[int, ...],
) -> None:
    """Log in to the profile NAME, by default the only one.

    NAME can be the address of a provider, like https://login.example.com, or of a protected
    resource that names its provider, like https://mcp.example.com/mcp. If there is no profile for
    it, one named after its host is added to the file.

    If neither the profile nor an option chooses a login method, the login uses the browser of this
    machine. In an SSH session, in a container or without a display, it uses another device. Ctrl-C
    cancels the login, and nothing is stored.
    """
    aws = aws_login(name, config, sso_session, sso_profile)
    screen = LoginScreen(Terminal())
    try:
        if aws is not None:
            settings = dict(aws.settings)
            _override(settings, listen, ports)
            result = _log_in_to_aws(aws.session, aws.label, settings, screen, method)
        else:
            scopes = [] if scope is None else scope.split()
            name = _profile_for(name, config, client_id, issuer, scopes)
            with load(name or profile_name(name, config), config) as profile:
                _override(profile.table, listen, ports)
                result = log_in_to_profile(profile, screen, method, scopes)
    except KeyboardInterrupt:
        click.echo("\nCancelled. Nothing was stored.", err=True)
        sys.exit(INTERRUPTED)
    screen.say(result, "green")


def _profile_for(
    name: str | None,
    config: str | None,
    client_id: str | None,
    issuer: str | None,
    scope: list[str],
) -> str | None:
    """Return the profile for an address, adding one if needed; other names are unchanged."""
    if name is None or "://" not in name:
        if client_id is not None or issuer is not None:
            raise click.UsageError(
                "--client-id and --issuer are only for a new profile. Give the address of a "
                "provider or a resource, like https://login.example.com, or change the profile in "
                "the file."
            )
        return name
    settings: dict[str, Any] = {} if client_id is None else {"client_id": client_id}
    if scope:
        settings["scope"] = scope
    profile = NewProfile(name, config, settings=settings, issuer=issuer)
    terminal = Terminal()
    profile.find_resource(terminal)
    return profile.existing() or profile.save(terminal, ask=is_interactive())


def _override(table: dict[str, Any], listen: str | None, ports: tuple[int, ...]) -> None:
    """Replace the file's settings with those of the options."""
    if listen is not None:
        table["listen"] = listen
    if ports:
        table["ports"] = ports


def _log_in_to_aws(
    login: SsoSession,
    label: str,
    settings: Mapping[str, Any],
    screen: LoginScreen,
    method: LoginMethod | None,
) -> str:
    if method == "paste":
        raise click.UsageError("--paste does not work with AWS. Use --browser or --device.")
    with login as session, ExitStack() as shown:
        check_store_writable(session.store, session.key, _LOCK_TIMEOUT)
        wanted = method or settings["login"]
        if wanted == "auto":
            reason = "" if "listen" in settings else why_no_browser(os.environ)
            chosen = ChosenMethod("device", reason) if reason else ChosenMethod("browser")
        else:
            chosen = ChosenMethod(cast("LoginMethod", wanted))
        explain(chosen, screen)
        if chosen.method == "browser":
            shown.enter_context(screen.browser(BROWSER_TIMEOUT))
            token = session.login_with_browser(
                prompt=screen.before_browser,
                open_browser=screen.open_browser,
                listen=settings.get("listen"),
                ports=settings.get("ports"),
                timeout=BROWSER_TIMEOUT,
            )
        else:
            token = session.login_on_device(
                lambda authorization: shown.enter_context(screen.device(authorization))
            )
    return f"Logged in to {label}. The token {expires_in(token)}. The AWS tools share it."
