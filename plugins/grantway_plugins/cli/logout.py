"""``grantway logout``: revoke a profile's token and delete it."""

from __future__ import annotations

import sys

import click

from grantway._exceptions import GrantwayError
from grantway._types.token import Token
from grantway_plugins.profiles import load
from grantway_plugins.profiles._profile import Profile

from .options import aws_login, login_options, profile_name


@click.command(name="logout")
@login_options
def command(
    name: str | None, config: str | None, sso_session: str | None, sso_profile: str | None
) -> None:
    """Revoke the token of the profile NAME at its provider, and delete it from the store.

    If revoking the token fails, it is deleted anyway, an error is printed and the exit status is 1.
    If the client registered itself, its registration is deleted too. Sessions of the AWS tools are
    only deleted, because AWS cannot revoke them.
    """
    aws = aws_login(name, config, sso_session, sso_profile)
    if aws is not None:
        with aws.session as session:
            name, found, problem = aws.label, session.logout(), ""
    else:
        name, found, problem = _profile(profile_name(name, config), config)
    if not found:
        click.echo(f"You were not logged in to {name}.")
        return
    click.echo(f"Logged out of {name}.")
    if problem:
        click.echo(problem, err=True)
        sys.exit(1)


def _profile(name: str, config: str | None) -> tuple[str, bool, str]:
    """Return the profile's name, whether a token was stored, and why it could not be revoked."""
    with load(name, config) as profile:
        # Hold the lock so that a concurrent refresh cannot store another token.
        with profile.store.lock(profile.key, profile.timeout) as fence:
            stored = profile.store.load(profile.key)
            problem = "" if stored is None else _revoke(profile, stored)
            profile.store.delete(profile.key, fence=fence)
        if profile.registrations is not None:
            profile.registrations.delete(profile.timeout)
    return name, stored is not None, problem


def _revoke(profile: Profile, stored: Token) -> str:
    """Revoke the token (RFC 7009). Return an error message, or an empty string."""
    # The refresh token first: providers may revoke its access tokens with it.
    tokens = {"refresh_token": stored.refresh_token, "access_token": stored.access_token}
    if profile.registrations is not None and profile.registrations.load() is None:
        return _not_revoked("the registration of the client that it was issued to has expired.")
    try:
        client = profile.client()
    except GrantwayError as error:
        return _not_revoked(str(error))
    if client.provider.revocation_endpoint is None:
        click.echo(
            f"{client.provider.host} cannot revoke tokens, so this one is valid until it expires."
        )
        return ""
    for kind, token in tokens.items():
        if token:
            try:
                client.call("revocation", token=token, token_type_hint=kind)
            except GrantwayError as error:
                return _not_revoked(str(error))
    return ""


def _not_revoked(reason: str) -> str:
    return (
        f"The token was deleted from the store, but could not be revoked: {reason} "
        "It is valid until it expires. To revoke it, use the provider's list of sessions."
    )
