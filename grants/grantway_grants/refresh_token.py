"""The refresh token grant (RFC 6749 section 6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from grantway._types.fields import GrantSchema, Scope, Text
from grantway._types.grant import Grant, Replay
from grantway._types.token import Token
from grantway.hookspecs import hookimpl

GRANT_TYPE = "refresh_token"


class RefreshTokenSchema(GrantSchema):
    """The ``refresh_token``, and a ``scope`` no wider than the granted one."""

    refresh_token = Text(required=True, example='"rt-2YotnFZFEjr1zCsicMWpAA"')
    scope = Scope()


class RefreshToken(Grant):
    """The refresh token grant, which keeps a refresh token that the provider does not replace."""

    def process_token(self, params: Mapping[str, Any], token: Token) -> Token:
        """Add the previous refresh token if the response has none (RFC 6749 section 6)."""
        if token.refresh_token:
            return token
        return replace(token, refresh_token=params["refresh_token"])


#: Many providers rotate refresh tokens, so a second send is safe only within the window of the
#: dialect.
REFRESH_TOKEN = RefreshToken(
    grant_type=GRANT_TYPE,
    schema=RefreshTokenSchema(),
    replay=Replay.WINDOWED,
    secret=frozenset({"refresh_token"}),
    summary="A new access token for a refresh token (RFC 6749 section 6)",
)


@hookimpl
def grantway_register_grants() -> list[Grant]:
    """Register the refresh token grant."""
    return [REFRESH_TOKEN]
