"""Whether an authorization server has rejected a refresh, so that only a login helps."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from grantway._exceptions import (
    GrantwayError,
    InternalServerException,
    InvalidClientException,
    InvalidDpopProofError,
    ResponseInvalidError,
    SlowDownException,
    TemporarilyUnavailableError,
    TokenError,
    UnauthorizedClientException,
    UseDpopNonceError,
)
from grantway._transport.transient import is_failed, is_refused
from grantway._types.token import Token

#: Errors after which the refresh token is still valid.
_NOT_THE_TOKEN = (
    InternalServerException,
    InvalidClientException,
    InvalidDpopProofError,
    SlowDownException,
    TemporarilyUnavailableError,
    UseDpopNonceError,
)
#: Statuses of web frameworks for a request that they reject.
_REJECTED = frozenset({400, 401, 403, 422})
_UNAUTHORIZED = 401
#: Seconds during which a rejected refresh is not repeated.
_PAUSE = 60.0


def is_rejection(error: GrantwayError) -> bool:
    """Return whether the server rejected the refresh token, in its own words.

    RFC 6749 section 5.2 requires ``invalid_grant``. Many servers return ``invalid_request`` or a
    nonstandard code, or JSON without a code. An HTML page may come from a proxy, so it says
    nothing about the token. Nor does any code of a server that is busy or fails.
    """
    if error.token is not None:
        return False
    if isinstance(error, TokenError):
        return not isinstance(error, _NOT_THE_TOKEN) and not _is_transient(error)
    return (
        type(error) is ResponseInvalidError
        and error.evidence.status in _REJECTED
        and bool(error.evidence.members)
    )


def _is_transient(error: TokenError) -> bool:
    status = error.evidence.status or 0
    return is_refused(status, error.error, {}, {}) or is_failed(status, error.error, {}, {})


def is_unknown_client(error: Exception | None) -> bool:
    """Return whether the server does not know the client.

    Servers with an earlier version of MCP's Python SDK return ``unauthorized_client`` with the
    status of ``invalid_client``.
    """
    if isinstance(error, UnauthorizedClientException):
        return error.evidence.status == _UNAUTHORIZED
    return isinstance(error, InvalidClientException)


@dataclass(frozen=True, slots=True)
class Rejection:
    """A rejected refresh, which is not repeated for a minute.

    Attributes:
        error: The error of the provider.
        token: The stored token whose refresh token was rejected.
        at: Monotonic time.
    """

    error: GrantwayError
    token: Token | None = field(repr=False)
    at: float = field(default_factory=time.monotonic)

    def is_of(self, token: Token | None) -> bool:
        """Return whether a refresh of the stored token would be the same one."""
        mine = None if self.token is None else self.token.refresh_token
        other = None if token is None else token.refresh_token
        return mine == other

    @property
    def is_recent(self) -> bool:
        """Whether the refresh must not be repeated yet."""
        return time.monotonic() - self.at < _PAUSE
