"""The user's token that is exchanged for an identity assertion."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

from grantway._credentials.credential import Credential
from grantway._exceptions import LoginNeededError
from grantway._types.callables import is_async
from grantway._types.secret_source import SecretSource
from grantway._types.token import Token
from grantway_plugins._jwt import unverified_expiry

#: Seconds before the expiry of an ID token at which it is renewed.
_MARGIN = 10.0

SubjectToken = str | Credential | SecretSource | Callable[[], str] | Callable[[], Awaitable[str]]


def subject_token(source: SubjectToken, idp: str) -> Any:
    """Return the argument ``subject_token`` of a token exchange; renew an expired ID token.

    Args:
        source: The token, or the source of it.
        idp: Host of the identity provider, for the error.

    Raises:
        LoginNeededError: The credential has no valid ID token.
        GrantwayError: As for ``Credential.token``.
    """
    if not isinstance(source, Credential):
        return source
    token = source.token()
    if not _lasts(token):
        source.invalidate(token)
        token = source.token()
    return _id_token(token, idp)


async def subject_token_async(source: SubjectToken, idp: str) -> Any:
    """Do the same as ``subject_token`` without blocking the event loop; call async functions."""
    if isinstance(source, Credential):
        token = await source.token_async()
        if not _lasts(token):
            source.invalidate(token)
            token = await source.token_async()
        return _id_token(token, idp)
    function: Any = source
    return await function() if is_async(function) else source


def _id_token(token: Token, idp: str) -> str:
    if not token.id_token or not _lasts(token):
        problem = "has expired" if token.id_token else "is missing: request the scope openid"
        raise LoginNeededError(f"The user's ID token of {idp} {problem}. Log in there again.")
    return token.id_token


def _lasts(token: Token) -> bool:
    """Return whether the ID token will be valid long enough for a request."""
    held = token.id_token or ""
    return held != "" and unverified_expiry(held) > time.time() + _MARGIN
