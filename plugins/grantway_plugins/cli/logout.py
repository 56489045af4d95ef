"""``grantway logout``: the token is revoked, and forgotten."""

from __future__ import annotations

import sys

import click

from grantway._exceptions import GrantwayError
from grantway._types.token import Token
from grantway_plugins.profiles import load
from grantway_plugins.profiles._profile import Profile

from .options import aws_login, profile_name, whose_login


@click.command(name="logout")
@whose_login
def command(
    name: str | None, config: str | None, sso_session: str | None, sso_profile: str | None
) -> None:
    """Revoke the token of the profile NAME at its provider, and delete it here.

    If the provider cannot revoke the token, it is deleted anyway, an error is printed and the exit
    status is 1. The registration of a client that registered itself is deleted too. Sessions of the
    AWS tools are only deleted, because AWS cannot revoke them.
    """
    aws = aws_login(name, config, sso_session, sso_profile)
    if aws is not None:
        with aws.session as session:
            name, there, problem = aws.label, session.logout(), ""
    else:
        name, there, problem = _profile(profile_name(name, config), config)
    if not there:
        click.echo(f"Nobody was logged in to {name}.")
        return
    click.echo(f"Logged out of {name}.")
    if problem:
        click.echo(problem, err=True)
        sys.exit(1)


def _profile(name: str, config: str | None) -> tuple[str, bool, str]:
    """The name, whether a token was there, and why it could not be revoked."""
    with load(name, config) as profile:
        # With the lock, lest a refresh under way store another token behind our back.
        with profile.store.lock(profile.key, profile.timeout) as fence:
            stored = profile.store.load(profile.key)
            problem = "" if stored is None else _revoke(profile, stored)
            profile.store.delete(profile.key, fence=fence)
        if profile.registrations is not None:
            profile.registrations.forget(profile.timeout)
    return name, stored is not None, problem


def _revoke(profile: Profile, stored: Token) -> str:
    """Give the token up (RFC 7009); says why that failed."""
    # The refresh token first: a provider may end the access tokens of its login with it.
    held = {"refresh_token": stored.refresh_token, "access_token": stored.access_token}
    if profile.registrations is not None and profile.registrations.load() is None:
        return _told("the registration of the client that it was issued to has expired.")
    try:
        client = profile.client()
    except GrantwayError as error:
        return _told(str(error))
    if client.provider.revocation_endpoint is None:
        click.echo(
            f"{client.provider.host} cannot revoke tokens, so this one is valid until it expires."
        )
        return ""
    for kind, token in held.items():
        if token:
            try:
                client.call("revocation", token=token, token_type_hint=kind)
            except GrantwayError as error:
                return _told(str(error))
    return ""


def _told(reason: str) -> str:
    return (
        f"The token was deleted here, but could not be revoked: {reason} "
        "It is valid until it expires. To revoke it, use the provider's list of sessions."
    )
