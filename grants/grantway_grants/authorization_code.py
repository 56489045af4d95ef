"""The authorization code grant with PKCE (RFC 6749 section 4.1, RFC 7636, RFC 8252)."""

from __future__ import annotations

import re

from grantway.grant import Grant, GrantSchema, Replay, Scope, Text
from grantway.hookspecs import hookimpl

GRANT_TYPE = "authorization_code"


class CodeVerifier(Text):
    """43 to 128 unreserved characters (RFC 7636 section 4.1)."""

    _visible = re.compile(r"[A-Za-z0-9\-._~]+")


class AuthorizationCodeSchema(GrantSchema):
    """``code``, the ``redirect_uri`` it was sent to, and the ``code_verifier`` behind it."""

    code = Text(required=True, example='"SplxlOBeZQQYbYS6WxSbIA"')
    redirect_uri = Text(example='"http://127.0.0.1:8400/callback"')
    code_verifier = CodeVerifier(
        example='"dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"', minimum=43, maximum=128
    )
    scope = Scope()


AUTHORIZATION_CODE = Grant(
    grant_type=GRANT_TYPE,
    schema=AuthorizationCodeSchema(),
    replay=Replay.NEVER,
    secret=frozenset({"code", "code_verifier"}),
    summary="A token for the code of a login in a browser, with PKCE (RFC 6749, 7636, 8252)",
)


@hookimpl
def grantway_register_grants() -> list[Grant]:
    """Bring the authorization code grant."""
    return [AUTHORIZATION_CODE]
