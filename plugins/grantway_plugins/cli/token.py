"""``grantway token``: print a valid access token. See ``fresh_token`` for the fast path."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from grantway._exceptions import StoreError
from grantway._types.token import Token
from grantway_plugins.profiles import load
from grantway_plugins.profiles._profile import Profile
from grantway_plugins.stores._shared.write_check import check_store_writable

from .aws_credentials import AwsRole, reject_profile, role_credentials
from .fresh_token import print_output, write_cache_entry
from .options import aws_login, login_options, profile_name
from .token_formats import FORMATS, USERNAME, FormatError, Output

if TYPE_CHECKING:
    from grantway_plugins.aws._login.session import SsoSession

#: Seconds to wait for the lock of the store.
_LOCK_TIMEOUT = 30.0


@click.command(name="token")
@login_options
@click.argument("operation", required=False, metavar="[OPERATION]")
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    help="Print what another program reads. Default: the token alone.",
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="The same as --format json: an object with the token, its type and its expiry.",
)
@click.option(
    "--host",
    "hosts",
    multiple=True,
    metavar="HOST[:PORT]",
    help="Host that may receive the token, for git, docker and kubectl. Repeatable.",
)
@click.option("--username", help=f"Username for git and docker. Default: {USERNAME}.")
@click.option("--account-id", help="AWS account, for aws. Default: that of --sso-profile.")
@click.option("--role-name", help="Role in that account. Default: that of --sso-profile.")
def command(
    name: str | None,
    config: str | None,
    sso_session: str | None,
    sso_profile: str | None,
    operation: str | None,
    *,
    form: str | None,
    as_json: bool,
    hosts: tuple[str, ...],
    username: str | None,
    account_id: str | None,
    role_name: str | None,
) -> None:
    """Print a valid access token of the profile NAME (by default the only one), and nothing else.

    A stored token that is fresh is printed without sending a request. An expired token is refreshed
    first, by one process at a time. The exit status is 3 if you must log in, and 1 for any other
    error. Git and Docker add an OPERATION, such as get, to the command.
    """
    output = Output("json" if as_json else form or "plain", operation, hosts, username)
    if mistake := output.mistake():
        raise click.UsageError(mistake)
    aws = aws_login(name, config, sso_session, sso_profile)
    if aws is None and output.form == "aws":
        reject_profile()
    try:
        if without := output.without_token():
            print_output(*without)
        elif aws is not None:
            with aws.session as session:
                token = _session_token(session)
                role = AwsRole(sso_profile, account_id, role_name)
                if output.form == "aws":
                    print_output(role_credentials(session, token.access_token, role))
                else:
                    _print(output, token)
        else:
            # Not closed: a background thread may still refresh a token that expires soon.
            profile = load(profile_name(name, config), config)
            token = profile.token()
            _print(output, token)
            cache_location(profile, token)
    except FormatError as error:
        raise click.ClickException(f"{error}.") from None


def _print(output: Output, token: Token) -> None:
    print_output(output.text(token.access_token, token.token_type, token.expires_at))


def _session_token(session: SsoSession) -> Token:
    from grantway_plugins.aws._dialect import AWS_SSO_OIDC  # noqa: PLC0415 - only for AWS

    stored = session.store.load(session.key)
    fresh, usable = (1.0, 1.0) if stored is None else AWS_SSO_OIDC.freshness.time_left(stored)
    if stored is not None and fresh <= 0:
        try:
            # A refresh token may work only once, so its successor must be storable.
            check_store_writable(session.store, session.key, _LOCK_TIMEOUT)
        except StoreError:
            if usable <= 0:
                raise
            return stored
    return session.credential().token()


def cache_location(profile: Profile, token: Token) -> None:
    """Record where a stored token is, so that the next ``grantway token`` reads it directly.

    Does nothing if the profile's store is not a ``FileStore`` or the token is not fresh.

    Args:
        profile: The profile.
        token: The token that was stored last.
    """
    from grantway_plugins.stores.file._store import FileStore  # noqa: PLC0415 - an extra

    fresh = profile.freshness.time_left(token)[0]
    if not isinstance(profile.store, FileStore) or fresh <= 0:
        return
    write_cache_entry(
        name=profile.name,
        config=str(profile.file.path),
        config_signature=profile.file.signature,
        path=str(profile.store.path(profile.key)),
        access_token=token.access_token,
        until=time.time() + fresh,
    )
