"""What a refreshed token keeps of the one before, where the provider's answer omits it.

An omitted ``scope`` is the one that was asked for, or else unchanged (RFC 6749 sections 5.1 and 6);
an answer to a refresh may omit the ID token (OpenID Connect Core section 12.2); and providers send
members such as ``instance_url`` with the login alone.
"""

from __future__ import annotations

import re
from dataclasses import replace

from grantway._types.token import Token

#: Members that describe one answer or one token, so that an old value would be wrong: lifetimes,
#: ids, nonces, the browser's session, and the keys and signatures that belong to one token. They
#: are compared in lower case and without separators, so ``refresh_token_expires_in`` is
#: ``refreshtokenexpiresin``.
_OF_ONE_ANSWER = re.compile(
    "(x|ext)?(access|refresh|id|c?nonce)?(token)?"
    "(exp|expir(e|es|y|ation)(in|at|on|time|date)?|issued(at|on)?|iat|notbefore|nbf|lifetime|ttl"
    "|validuntil)"
    "|notbeforepolicy|sessionstate|state|c?nonce|jti|signature|mackey|macalgorithm|timestamp"
    "|(request|correlation|trace)id|error(description|uri|codes?)?|warning|message|ok"
)
_SEPARATORS = re.compile(r"[\W_]+")


def carry_over(token: Token, last: Token, requested: tuple[str, ...] | None) -> Token:
    """Complete a refreshed token with what the answer omitted.

    Args:
        token: What the provider sent.
        last: The token whose refresh token was sent.
        requested: The scope that the refresh asked for, or None if it named none.
    """
    if not token.access_token:  # a new refresh token came alone
        return replace(last, refresh_token=token.refresh_token)
    scope = last.scope if requested is None else requested
    kept = {
        name: value
        for name, value in last.extra.items()
        if token.extra.get(name) is None and not describes_one_answer(name)
    }
    return replace(
        token,
        refresh_token=token.refresh_token or last.refresh_token,
        id_token=token.id_token or last.id_token,
        scope=scope if token.scope is None else token.scope,
        extra={**token.extra, **kept},
    )


def describes_one_answer(name: str) -> bool:
    """Whether a member of an answer says nothing about the next answer."""
    return _OF_ONE_ANSWER.fullmatch(_SEPARATORS.sub("", name.lower())) is not None
