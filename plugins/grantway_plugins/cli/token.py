"""``grantway token``: a valid access token on standard output. See ``quick`` for the fast way."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from grantway._exceptions import StoreError
from grantway._types.token import Token
from grantway_plugins.profiles import load
from grantway_plugins.profiles._profile import Profile
from grantway_plugins.stores._shared.write_check import check_store_writable

from .fresh_token import as_process, put, write_note
from .options import aws_login, profile_name, whose_login

if TYPE_CHECKING:
    from grantway_plugins.aws._login.session import SsoSession

#: Seconds to wait for a lock.
_PATIENCE = 30.0


@click.command(name="token")
@whose_login
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print an object with the token, its type and its expiry.",
)
def command(
    name: str | None,
    config: str | None,
    sso_session: str | None,
    sso_profile: str | None,
    *,
    as_json: bool,
) -> None:
    """Print a valid access token of the profile NAME (by default the only one), and nothing else.

    A fresh token comes from the store, and nothing is sent. An expired token is renewed first, by
    one process at a time. The exit status is 3 if you must log in, and 1 for any other failure.
    """
    aws = aws_login(name, config, sso_session, sso_profile)
    if aws is not None:
        with aws.session as session:
            _show(_of_session(session), as_json=as_json)
        return
    # Not closed: a token that ends soon is renewed by a thread, which outlives this function.
    profile = load(profile_name(name, config), config)
    token = profile.token()
    _show(token, as_json=as_json)
    leave_note(profile, token)


def _of_session(session: SsoSession) -> Token:
    from grantway_plugins.aws._dialect import AWS_SSO_OIDC  # noqa: PLC0415 - AWS's alone

    stored = session.store.load(session.key)
    ends_soon, usable = (1.0, 1.0) if stored is None else AWS_SSO_OIDC.freshness.time_left(stored)
    if stored is not None and ends_soon <= 0:
        try:
            # Its refresh token may work once, and this program may end before a disk is repaired.
            check_store_writable(session.store, session.key, _PATIENCE)
        except StoreError:
            if usable <= 0:
                raise
            return stored
    return session.credential().token()


def _show(token: Token, *, as_json: bool) -> None:
    put(_as_json(token) if as_json else token.access_token)


def _as_json(token: Token) -> str:
    plain = as_process(token.access_token, token.token_type, token.expires_at)
    if plain is not None:
        return plain
    fields = {"Version": 1, "AccessToken": token.access_token, "TokenType": token.token_type}
    if token.expires_at is not None:
        fields["Expiration"] = f"{datetime.fromtimestamp(token.expires_at // 1, UTC):%FT%TZ}"
    return json.dumps(fields)


def leave_note(profile: Profile, token: Token) -> None:
    """Tell the next ``grantway token`` where this token lies, if it lies in a file.

    Args:
        profile: Whose token.
        token: The one that was stored last.
    """
    from grantway_plugins.stores.file._store import FileStore  # noqa: PLC0415 - an extra

    fresh = profile.freshness.time_left(token)[0]
    if not isinstance(profile.store, FileStore) or fresh <= 0:
        return
    write_note(
        name=profile.name,
        config=str(profile.file.path),
        stamp=profile.file.stamp,
        path=str(profile.store.path(profile.key)),
        access_token=token.access_token,
        until=time.time() + fresh,
    )
