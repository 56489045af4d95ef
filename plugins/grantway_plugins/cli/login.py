"""``grantway login``: a person logs in, and the token is kept."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, cast

import click

from grantway._exceptions import InvalidClientException, UnauthorizedClientException
from grantway._requests.client import Client
from grantway._types.token import Token
from grantway_grants import authorization_code
from grantway_grants._callback import redirect_uris
from grantway_grants.device_code import DeviceFlow
from grantway_plugins.profiles import load
from grantway_plugins.profiles._profile import Profile
from grantway_plugins.stores._shared.write_check import check_store_writable

from .login_methods import Choice, Way, choose, require_endpoint, why_no_browser
from .login_screen import Screen
from .new_profile import NewProfile, person_is_there
from .options import aws_login, profile_name, whose_login
from .profile_status import ends_in, of
from .terminal import Terminal
from .token import leave_note

if TYPE_CHECKING:
    from grantway_plugins.aws._login.session import SsoSession

#: Seconds that a person has in the browser.
_PATIENCE = 300.0
#: The status of a program that Ctrl-C ended.
_INTERRUPTED = 130


@click.command(name="login")
@whose_login
@click.option("--device", "way", flag_value="device", help="Log in on another device with a code.")
@click.option(
    "--browser", "way", flag_value="browser", help="Log in with the browser of this machine."
)
@click.option(
    "--paste",
    "way",
    flag_value="paste",
    help="Log in with any browser and paste the final address here.",
)
@click.option(
    "--listen",
    metavar="ADDRESS[:PORT]",
    help="Address to listen on for the browser, for example the published port of a container.",
)
@click.option(
    "--port",
    "ports",
    type=click.IntRange(1, 65535),
    multiple=True,
    help="Port that the browser returns to. Repeat to try several in order.",
)
@click.option("--client-id", help="With an address: the id of a client that is registered already.")
@click.option("--scope", help='With an address: scope to request, like "read write".')
def command(
    name: str | None,
    config: str | None,
    sso_session: str | None,
    sso_profile: str | None,
    way: Way | None,
    *,
    client_id: str | None,
    scope: str | None,
    listen: str | None,
    ports: tuple[int, ...],
) -> None:
    """Log in to the profile NAME, by default the only one.

    NAME can be a provider's address, like https://login.example.com. If there is no profile for it,
    one named after its host is added to the file.

    If neither the profile nor an option chooses a way, the login uses the browser of this machine.
    In an SSH session, in a container or without a display, it uses another device. Ctrl-C cancels
    the login, and nothing is stored.
    """
    aws = aws_login(name, config, sso_session, sso_profile)
    screen = Screen(Terminal())
    try:
        if aws is not None:
            settings = dict(aws.settings)
            _override(settings, listen, ports)
            told = _aws(aws.session, aws.label, settings, screen, way)
        else:
            name = _of_address(name, config, client_id, scope) or profile_name(name, config)
            with load(name, config) as profile:
                _override(profile.table, listen, ports)
                told = _profile(profile, screen, way)
    except KeyboardInterrupt:
        click.echo("\nCancelled. Nothing was stored.", err=True)
        sys.exit(_INTERRUPTED)
    screen.say(told, "green")


def _of_address(
    name: str | None, config: str | None, client_id: str | None, scope: str | None
) -> str | None:
    """Return the profile of a provider's address, a new one if need be; None without an address."""
    settings: dict[str, Any] = {} if client_id is None else {"client_id": client_id}
    if scope is not None:
        settings["scope"] = scope.split()
    if name is None or "://" not in name:
        if settings:
            raise click.UsageError(
                "--client-id and --scope are for a new profile. Give the provider's address, like "
                "https://login.example.com, or change the profile in the file."
            )
        return None
    profile = NewProfile(name, config, settings=settings)
    return profile.existing() or profile.save(Terminal(), ask=person_is_there())


def _override(table: dict[str, Any], listen: str | None, ports: tuple[int, ...]) -> None:
    """Let the options count more than the file."""
    if listen is not None:
        table["listen"] = listen
    if ports:
        table["ports"] = ports


def _aws(
    login: SsoSession, label: str, settings: Mapping[str, Any], screen: Screen, way: Way | None
) -> str:
    if way == "paste":
        raise click.UsageError("AWS accepts no pasted address. Use --browser or --device.")
    with login as session, ExitStack() as shown:
        check_store_writable(session.store, session.key, _PATIENCE)
        asked = way or settings["login"]
        if asked == "auto":
            reason = "" if "listen" in settings else why_no_browser(os.environ)
            choice = Choice("device", reason) if reason else Choice("browser")
        else:
            choice = Choice(cast("Way", asked))
        _explain(choice, screen)
        if choice.way == "browser":
            shown.enter_context(screen.browser(_PATIENCE))
            token = session.login_with_browser(
                prompt=screen.show_address,
                open_browser=screen.open_browser,
                listen=settings.get("listen"),
                ports=settings.get("ports"),
                timeout=_PATIENCE,
            )
        else:
            token = session.login_on_device(
                lambda authorization: shown.enter_context(screen.device(authorization))
            )
    return f"Logged in to {label}. The token {ends_in(token)}. The AWS tools share it."


def _profile(profile: Profile, screen: Screen, way: Way | None) -> str:
    token = _log_in(profile, screen, way)
    leave_note(profile, token)
    stands = of(profile, token)
    who = f" as {stands.subject}" if stands.subject else ""
    renewed = " and is renewed automatically" if stands.renews_at is not None else ""
    return f"Logged in to {profile.name}{who}. The token {ends_in(token)}{renewed}."


def _explain(choice: Choice, screen: Screen) -> None:
    if choice.reason:
        screen.say(f"{choice.reason[:1].upper()}{choice.reason[1:]}: using --{choice.way}.", "dim")


def _log_in(profile: Profile, screen: Screen, way: Way | None) -> Token:
    if profile.table["store"]["kind"] == "memory":
        raise profile.file.toml.wrong(
            [
                (
                    ("profiles", profile.name, "store"),
                    'is "memory", which keeps nothing after this command ends; use another store',
                )
            ]
        )
    profile.check_store_writable()
    if profile.grant is not None:
        return _request(profile, screen)
    asked = way or profile.login
    choice = (
        choose(profile.provider, profile.redirect_uri, listens=profile.listen is not None)
        if asked == "auto"
        else Choice(cast("Way", asked))
    )
    require_endpoint(profile.provider, choice.way)
    _explain(choice, screen)
    client = profile.client(for_login=True)
    try:
        if profile.registrations is not None and choice.way != "device":
            authorization_code.check_registration(client)
        token = _flow(profile, client, screen, choice.way)
    except (InvalidClientException, UnauthorizedClientException):
        if profile.registrations is None:
            raise
        # The provider forgot the client that had registered itself, so it does so again.
        client = profile.client(instead_of=client.client_id)
        token = _flow(profile, client, screen, choice.way)
    profile.credential(client).accept(token)
    return token


def _request(profile: Profile, screen: Screen) -> Token:
    """Get the token of a grant that needs no login; one that can still be used stays."""
    stored = profile.store.load(profile.key)
    if stored is not None and profile.freshness.time_left(stored)[1] > 0:
        screen.say(
            "A valid token is stored already, so none was requested. To replace it, first run: "
            f"{profile.command('logout')}"
        )
        return stored
    if profile.renewal(stored) is not None:
        screen.say(f"Requesting a token with {profile.grant}.")
    try:
        return profile.token()
    except KeyboardInterrupt:
        click.echo(
            "\nCancelled. If the provider has issued a token already, it is still stored.", err=True
        )
    sys.exit(_INTERRUPTED)


def _flow(profile: Profile, client: Client, screen: Screen, way: Way) -> Token:
    if way == "device":
        flow = DeviceFlow(
            client, scope=profile.scope, extra=profile.extra, resource=profile.resource
        )
        authorization = flow.start()
        with screen.device(authorization):
            return flow.wait(authorization)
    if way == "paste":
        return authorization_code.login_by_paste(
            client,
            screen.paste,
            redirect_uri=redirect_uris(profile.redirect_uri, profile.ports)[0],
            scope=profile.scope,
            extra=profile.extra,
            resource=profile.resource,
        )
    with screen.browser(_PATIENCE):
        return authorization_code.login(
            client,
            scope=profile.scope,
            extra=profile.extra,
            resource=profile.resource,
            redirect_uri=profile.redirect_uri,
            listen=profile.listen,
            ports=profile.ports,
            prompt=screen.show_address,
            open_browser=screen.open_browser,
            timeout=_PATIENCE,
        )
