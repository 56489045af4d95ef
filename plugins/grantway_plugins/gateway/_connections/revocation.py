"""Revoke the token of a connection at its provider (RFC 7009)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from grantway._exceptions import ConfigurationError, GrantwayError

if TYPE_CHECKING:
    from grantway._requests.client import Client
    from grantway._types.token import Token

    from .provider import ConnectionProvider

#: Time limit for each request, in seconds.
_TIMEOUT = 10.0

_log = logging.getLogger("grantway.gateway")


async def revoke(at: ConnectionProvider, token: Token) -> str:
    """Revoke the refresh token, then the access token.

    Returns:
        Why the connection was not revoked; empty if it was. Revoking a refresh token ends the
        connection (RFC 7009 section 2.1), so a failure with the access token is only logged.
    """
    if not at.revokes:
        return "revoke = false in the gateway's file"
    try:
        client = at.client
    except ConfigurationError as error:  # its secret cannot be read
        return error.code
    try:
        client.provider.endpoint("revocation")
    except ConfigurationError:
        return "the provider has no revocation endpoint"
    problem = ""
    if token.refresh_token:
        problem = await _revoke(client, token.refresh_token, "refresh_token")
    if token.access_token:
        other = await _revoke(client, token.access_token, "access_token")
        problem = problem if token.refresh_token else other
    return problem


async def _revoke(client: Client, token: str, kind: str) -> str:
    try:
        await client.call_async("revocation", token=token, token_type_hint=kind, timeout=_TIMEOUT)
    except GrantwayError as error:
        _log.warning("%s did not revoke the %s: %s", client.provider.host, kind, error.code)
        return error.code
    return ""
