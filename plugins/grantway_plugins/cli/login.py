"""``grantway login``: a person logs in, and the token is kept."""

from __future__ import annotations

import sys
from typing import cast

import click
from rich.console import Console

from grantway.client import Client
from grantway.exceptions import InvalidClientException, UnauthorizedClientException
from grantway.token import Token
from grantway_grants import authorization_code
from grantway_grants.device_code import DeviceFlow
from grantway_plugins.profiles import load
from grantway_plugins.profiles.profile import Profile

from .options import config_option
from .screen import Screen
from .standing import ends_in, of
from .token import leave_note
from .ways import Choice, Way, choose

#: Seconds that a person has in the browser.
_PATIENCE = 300.0
#: The status of a program that Ctrl-C ended.
_INTERRUPTED = 130


@click.command(name="login")
@click.argument("name")
@config_option
@click.option("--device", "way", flag_value="device", help="Log in on another device, by a code.")
@click.option("--browser", "way", flag_value="browser", help="Log in with this machine's browser.")
@click.option(
    "--paste", "way", flag_value="paste", help="Log in with any browser, and paste its address."
)
def command(name: str, config: str | None, way: str | None) -> None:
    """Log in to the profile NAME.

    Where neither the profile nor an option says how, it is the browser of this machine; in an SSH
    session, in a container, or without a display it is another device. Ctrl-C ends it, and then
    nothing is stored.
    """
    screen = Screen(Console(highlight=False, soft_wrap=True))
    try:
        with load(name, config) as profile:
            token = _log_in(profile, screen, way)
            leave_note(profile, token)
            stands = of(profile, token)
    except KeyboardInterrupt:
        click.echo("\nEnded. Nothing was stored.", err=True)
        sys.exit(_INTERRUPTED)
    who = f" as {stands.subject}" if stands.subject else ""
    renewed = " and is renewed by itself" if stands.refreshable else ""
    screen.say(f"Logged in to {name}{who}. The token {ends_in(token)}{renewed}.", "green")


def _log_in(profile: Profile, screen: Screen, way: str | None) -> Token:
    if profile.grant is not None:
        screen.say(f"{profile.grant} needs no person; a token is asked for at once.")
        return profile.credential().token()
    asked = way or profile.login
    choice = (
        choose(profile.provider, profile.redirect_uri)
        if asked == "auto"
        else Choice(cast("Way", asked))
    )
    if choice.reason:
        screen.say(f"{choice.reason[:1].upper()}{choice.reason[1:]}: using --{choice.way}.", "dim")
    client = profile.client()
    try:
        token = _flow(profile, client, screen, choice.way)
    except (InvalidClientException, UnauthorizedClientException):
        if profile.registrations is None:
            raise
        # The provider forgot the client that had registered itself, so it does so again.
        client = profile.client(instead_of=client.client_id)
        token = _flow(profile, client, screen, choice.way)
    profile.credential(client).accept(token)
    return token


def _flow(profile: Profile, client: Client, screen: Screen, way: Way) -> Token:
    if way == "device":
        flow = DeviceFlow(client, scope=profile.scope, extra=profile.extra)
        authorization = flow.start()
        with screen.device(authorization):
            return flow.wait(authorization)
    if way == "paste":
        return authorization_code.login_by_paste(
            client,
            screen.paste,
            redirect_uri=profile.redirect_uri,
            scope=profile.scope,
            extra=profile.extra,
        )
    with screen.browser(_PATIENCE) as open_browser:
        return authorization_code.login(
            client,
            scope=profile.scope,
            extra=profile.extra,
            redirect_uri=profile.redirect_uri,
            open_browser=open_browser,
            timeout=_PATIENCE,
        )
