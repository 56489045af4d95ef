"""Log in to a profile, with the browser, on a device, or with its grant."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import cast

import click

from grantway._exceptions import (
    InvalidClientException,
    InvalidScopeException,
    StoreUnreadableError,
    UnauthorizedClientException,
)
from grantway._requests.client import Client
from grantway._types.token import Token
from grantway_grants import authorization_code
from grantway_grants._callback import redirect_uris
from grantway_grants.device_code import DeviceFlow
from grantway_plugins._redirect_ports import ports_of
from grantway_plugins.profiles._profile import Profile

from .login_flow import run_login_flow
from .login_methods import ChosenMethod, LoginMethod, choose, require_endpoint
from .login_screen import LoginScreen
from .profile_status import expires_in, status_of
from .token import cache_location

#: Seconds to wait for the user to log in with the browser.
BROWSER_TIMEOUT = 300.0
#: Exit status after Ctrl-C.
INTERRUPTED = 130


def log_in_to_profile(
    profile: Profile, screen: LoginScreen, method: LoginMethod | None, more: Sequence[str]
) -> str:
    """Log in, store the token, and return the result as a sentence.

    Args:
        profile: The profile.
        screen: The terminal.
        method: Login method that the user chose, or None.
        more: Scope to request in addition to that of the profile.
    """
    token = _log_in(profile, screen, method, more)
    cache_location(profile, token)
    status = status_of(profile, token)
    user = f" as {status.subject}" if status.subject else ""
    refreshed = " and is refreshed automatically" if status.refresh_at is not None else ""
    return f"Logged in to {profile.name}{user}. The token {expires_in(token)}{refreshed}."


def explain(chosen: ChosenMethod, screen: LoginScreen) -> None:
    """Print why a login method was chosen."""
    if chosen.reason:
        reason = f"{chosen.reason[:1].upper()}{chosen.reason[1:]}"
        screen.say(f"{reason}: using --{chosen.method}.", "dim")


def _log_in(
    profile: Profile, screen: LoginScreen, method: LoginMethod | None, more: Sequence[str]
) -> Token:
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
        if not set(more) <= set(profile.scope or ()):
            raise click.UsageError(
                f"--scope applies to logins, not to the grant {profile.grant}. Change the scope of "
                f"the profile {profile.name} in the file."
            )
        return _request(profile, screen)
    scope = _scope(profile, more)
    if profile.login_grant is not None:
        if method is not None:
            raise click.UsageError(
                f"--{method} does not apply to the grant {profile.login_grant}, which has its own "
                "login."
            )
        client = profile.client()
        token = run_login_flow(profile, client, screen, scope)
    else:
        client, token = _standard_login(profile, screen, method, scope)
    profile.credential(client).accept(token)
    return token


def _scope(profile: Profile, more: Sequence[str]) -> tuple[str, ...] | None:
    """Return the scope to request.

    With more scope than that of the profile, and at a protected resource, it includes what was
    granted before, so that programs do not lose it.
    """
    granted: tuple[str, ...] = ()
    if profile.resource or not set(more) <= set(profile.scope or ()):
        with suppress(StoreUnreadableError):  # the login replaces the token
            stored = profile.store.load(profile.key)
            granted = (stored.scope if stored is not None else None) or ()
    return tuple(dict.fromkeys([*(profile.scope or ()), *granted, *more])) or None


def _standard_login(
    profile: Profile,
    screen: LoginScreen,
    method: LoginMethod | None,
    scope: tuple[str, ...] | None,
) -> tuple[Client, Token]:
    """Log in with the browser or on a device, and register the client if needed."""
    wanted = method or profile.login
    chosen = (
        choose(profile.provider, profile.redirect_uri, listens=profile.listen is not None)
        if wanted == "auto"
        else ChosenMethod(cast("LoginMethod", wanted))
    )
    require_endpoint(profile.provider, chosen.method)
    explain(chosen, screen)
    client = profile.client(for_login=True)
    registrations = profile.registrations
    try:
        if registrations is not None and chosen.method != "device":
            authorization_code.check_registration(client)
        ports = _ports(profile, None if registrations is None else registrations.load())
        return client, _flow(profile, client, screen, chosen.method, scope, ports=ports)
    except (InvalidClientException, UnauthorizedClientException):
        if registrations is None:
            raise
        # The provider no longer knows the registered client, so register again.
        client = profile.client(instead_of=client.client_id)
        ports = _ports(profile, registrations.load())
        return client, _flow(profile, client, screen, chosen.method, scope, ports=ports)
    except InvalidScopeException:
        if registrations is None or set(scope or ()) <= set(profile.scope or ()):
            raise
    # The provider grants a client only the scope that it registered.
    screen.say("The client may not request this scope, so it is registered again.")
    registration = profile.register(scope)
    client = profile.client(registration=registration)
    ports = _ports(profile, registration)
    token = _flow(profile, client, screen, chosen.method, scope, ports=ports)
    # Not before: a login that fails must not separate the stored token from its client.
    registrations.save(registration, profile.timeout)
    return client, token


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
    sys.exit(INTERRUPTED)


def _ports(profile: Profile, registration: Token | None) -> Sequence[int] | None:
    """Return the ports to try for the redirect: those of the profile, or those registered."""
    if profile.ports or profile.listen is not None or registration is None:
        return profile.ports
    return ports_of(registration, profile.redirect_uri)


def _flow(
    profile: Profile,
    client: Client,
    screen: LoginScreen,
    method: LoginMethod,
    scope: tuple[str, ...] | None,
    *,
    ports: Sequence[int] | None,
) -> Token:
    if method == "device":
        flow = DeviceFlow(client, scope=scope, extra=profile.extra, resource=profile.resource)
        authorization = flow.start()
        with screen.device(authorization):
            return flow.wait(authorization)
    if method == "paste":
        return authorization_code.login_by_paste(
            client,
            screen.paste,
            redirect_uri=redirect_uris(profile.redirect_uri, profile.ports)[0],
            scope=scope,
            extra=profile.extra,
            resource=profile.resource,
        )
    with screen.browser(BROWSER_TIMEOUT):
        return authorization_code.login(
            client,
            scope=scope,
            extra=profile.extra,
            resource=profile.resource,
            redirect_uri=profile.redirect_uri,
            listen=profile.listen,
            ports=ports,
            prompt=screen.before_browser,
            open_browser=screen.open_browser,
            timeout=BROWSER_TIMEOUT,
        )
