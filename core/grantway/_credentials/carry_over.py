"""Keep values of the previous token that a refresh response omits.

An omitted ``scope`` is the requested one, or unchanged (RFC 6749 sections 5.1 and 6). A refresh
response may omit the ID token (OpenID Connect Core section 12.2), and some providers send members
such as ``instance_url`` only at the login.
"""

from __future__ import annotations

import re
from dataclasses import replace

from grantway._types.token import Token

#: Members that describe one response or token, so that an old value would be wrong: lifetimes,
#: ids, nonces, the browser session, keys and signatures. Names are compared in lower case and
#: without separators: ``refresh_token_expires_in`` becomes ``refreshtokenexpiresin``.
_OF_ONE_RESPONSE = re.compile(
    "(x|ext)?(access|refresh|id|c?nonce)?(token)?"
    "(exp|expir(e|es|y|ation)(in|at|on|time|date)?|issued(at|on)?|iat|notbefore|nbf|lifetime|ttl"
    "|validuntil)"
    "|notbeforepolicy|sessionstate|state|c?nonce|jti|signature|mackey|macalgorithm|timestamp"
    "|(request|correlation|trace)id|error(description|uri|codes?)?|warning|message|ok"
)
_SEPARATORS = re.compile(r"[\W_]+")


def carry_over(token: Token, last: Token, requested: tuple[str, ...] | None) -> Token:
    """Return a refreshed token, completed with the values that the response omitted.

    Args:
        token: The provider's response.
        last: The token whose refresh token was sent.
        requested: The scope that the refresh requested, or None.
    """
    if not token.access_token:  # the response has only a new refresh token
        return replace(last, refresh_token=token.refresh_token)
    scope = last.scope if requested is None else requested
    kept = {
        name: value
        for name, value in last.extra.items()
        if token.extra.get(name) is None and not describes_one_response(name)
    }
    return replace(
        token,
        refresh_token=token.refresh_token or last.refresh_token,
        id_token=token.id_token or last.id_token,
        scope=scope if token.scope is None else token.scope,
        extra={**token.extra, **kept},
    )


def describes_one_response(name: str) -> bool:
    """Return whether a member of a response applies to that response only."""
    return _OF_ONE_RESPONSE.fullmatch(_SEPARATORS.sub("", name.lower())) is not None
