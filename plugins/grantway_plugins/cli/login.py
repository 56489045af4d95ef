"""``grantway login``: log in, and store the token."""

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

from .login_flow import run_login_flow
from .login_methods import (
    ChosenMethod,
    LoginMethod,
    choose,
    require_endpoint,
    why_no_browser,
)
from .login_screen import LoginScreen
from .new_profile import NewProfile, is_interactive
from .options import aws_login, login_options, profile_name
from .profile_status import expires_in, status_of
from .terminal import Terminal
from .token import cache_location

if TYPE_CHECKING:
    from grantway_plugins.aws._login.session import SsoSession

#: Seconds to wait for the user to log in with the browser.
_BROWSER_TIMEOUT = 300.0
#: Seconds to wait for the lock of the store.
_LOCK_TIMEOUT = 30.0
#: Exit status after Ctrl-C.
_INTERRUPTED = 130


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
@click.option("--client-id", help="ID of an existing client. Only with a provider's address.")
@click.option(
    "--scope", help='Scope to request, like "read write". Only with a provider\'s address.'
)
def command(
    name: str | None,
    config: str | None,
    sso_session: str | None,
    sso_profile: str | None,
    method: LoginMethod | None,
    *,
    client_id: str | None,
    scope: str | None,
    listen: str | None,
    ports: tuple[int, ...],
) -> None:
    """Log in to the profile NAME, by default the only one.

    NAME can be a provider's address, like https://login.example.com. If there is no profile for it,
    one named after its host is added to the file.

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
            name = _profile_for(name, config, client_id, scope) or profile_name(name, config)
            with load(name, config) as profile:
                _override(profile.table, listen, ports)
                result = _log_in_to_profile(profile, screen, method)
    except KeyboardInterrupt:
        click.echo("\nCancelled. Nothing was stored.", err=True)
        sys.exit(_INTERRUPTED)
    screen.say(result, "green")


def _profile_for(
    name: str | None, config: str | None, client_id: str | None, scope: str | None
) -> str | None:
    """Return the profile for a provider's address, adding one if needed; None for other names."""
    settings: dict[str, Any] = {} if client_id is None else {"client_id": client_id}
    if scope is not None:
        settings["scope"] = scope.split()
    if name is None or "://" not in name:
        if settings:
            raise click.UsageError(
                "--client-id and --scope are only for a new profile. Give the provider's address, "
                "like https://login.example.com, or change the profile in the file."
            )
        return None
    profile = NewProfile(name, config, settings=settings)
    return profile.existing() or profile.save(Terminal(), ask=is_interactive())


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
        _explain(chosen, screen)
        if chosen.method == "browser":
            shown.enter_context(screen.browser(_BROWSER_TIMEOUT))
            token = session.login_with_browser(
                prompt=screen.before_browser,
                open_browser=screen.open_browser,
                listen=settings.get("listen"),
                ports=settings.get("ports"),
                timeout=_BROWSER_TIMEOUT,
            )
        else:
            token = session.login_on_device(
                lambda authorization: shown.enter_context(screen.device(authorization))
            )
    return f"Logged in to {label}. The token {expires_in(token)}. The AWS tools share it."


def _log_in_to_profile(profile: Profile, screen: LoginScreen, method: LoginMethod | None) -> str:
    token = _log_in(profile, screen, method)
    cache_location(profile, token)
    status = status_of(profile, token)
    user = f" as {status.subject}" if status.subject else ""
    refreshed = " and is refreshed automatically" if status.refresh_at is not None else ""
    return f"Logged in to {profile.name}{user}. The token {expires_in(token)}{refreshed}."


def _explain(chosen: ChosenMethod, screen: LoginScreen) -> None:
    if chosen.reason:
        reason = f"{chosen.reason[:1].upper()}{chosen.reason[1:]}"
        screen.say(f"{reason}: using --{chosen.method}.", "dim")


def _log_in(profile: Profile, screen: LoginScreen, method: LoginMethod | None) -> Token:
    if profile.table["store"]["kind"] == "memory":
        raise profile.file.toml.wrong(
            [
                (
                    ("profiles", profile.name, "store"),
                    'is "memory", which loses the token when this command ends; use another store',
                )
            ]
        )
    profile.check_store_writable()
    if profile.grant is not None:
        return _request(profile, screen)
    if profile.login_grant is not None:
        if method is not None:
            raise click.UsageError(
                f"--{method} does not apply to the grant {profile.login_grant}, which has its own "
                "login."
            )
        client = profile.client()
        token = run_login_flow(profile, client, screen, profile.login_grant)
    else:
        client, token = _standard_login(profile, screen, method)
    profile.credential(client).accept(token)
    return token


def _standard_login(
    profile: Profile, screen: LoginScreen, method: LoginMethod | None
) -> tuple[Client, Token]:
    """Log in with the browser or on a device, and register the client if needed."""
    wanted = method or profile.login
    chosen = (
        choose(profile.provider, profile.redirect_uri, listens=profile.listen is not None)
        if wanted == "auto"
        else ChosenMethod(cast("LoginMethod", wanted))
    )
    require_endpoint(profile.provider, chosen.method)
    _explain(chosen, screen)
    client = profile.client(for_login=True)
    try:
        if profile.registrations is not None and chosen.method != "device":
            authorization_code.check_registration(client)
        return client, _flow(profile, client, screen, chosen.method)
    except (InvalidClientException, UnauthorizedClientException):
        if profile.registrations is None:
            raise
        # The provider no longer knows the registered client, so register again.
        client = profile.client(instead_of=client.client_id)
        return client, _flow(profile, client, screen, chosen.method)


def _request(profile: Profile, screen: LoginScreen) -> Token:
    """Return the stored token if it is valid, or request one with the profile's grant."""
    stored = profile.store.load(profile.key)
    if stored is not None and profile.freshness.time_left(stored)[1] > 0:
        screen.say(
            "A valid token is already stored, so no new one was requested. To replace it, first "
            f"run: {profile.command('logout')}"
        )
        return stored
    if profile.refresh_method(stored) is not None:
        screen.say(f"Requesting a token with {profile.grant}.")
    try:
        return profile.token()
    except KeyboardInterrupt:
        click.echo(
            "\nCancelled. If the provider has already issued a token, it is still stored.", err=True
        )
    sys.exit(_INTERRUPTED)


def _flow(profile: Profile, client: Client, screen: LoginScreen, method: LoginMethod) -> Token:
    if method == "device":
        flow = DeviceFlow(
            client, scope=profile.scope, extra=profile.extra, resource=profile.resource
        )
        authorization = flow.start()
        with screen.device(authorization):
            return flow.wait(authorization)
    if method == "paste":
        return authorization_code.login_by_paste(
            client,
            screen.paste,
            redirect_uri=redirect_uris(profile.redirect_uri, profile.ports)[0],
            scope=profile.scope,
            extra=profile.extra,
            resource=profile.resource,
        )
    with screen.browser(_BROWSER_TIMEOUT):
        return authorization_code.login(
            client,
            scope=profile.scope,
            extra=profile.extra,
            resource=profile.resource,
            redirect_uri=profile.redirect_uri,
            listen=profile.listen,
            ports=profile.ports,
            prompt=screen.before_browser,
            open_browser=screen.open_browser,
            timeout=_BROWSER_TIMEOUT,
        )
