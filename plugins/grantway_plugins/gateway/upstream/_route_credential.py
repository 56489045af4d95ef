"""Sources of a tenant's tokens."""

from __future__ import annotations

from typing import Protocol

from grantway._types.token import Token
from grantway_plugins.auth._bearer import TokenSource


class RouteCredential(TokenSource, Protocol):
    """A source of a tenant's tokens, usually a ``grantway.Credential``."""

    @property
    def fresh(self) -> bool:
        """Whether a valid token is available without waiting."""
        ...

    @property
    def fresh_for(self) -> float:
        """Seconds until the token may be replaced; 0 if it is not fresh."""
        ...

    @property
    def refresh_in(self) -> float:
        """Seconds until the token is refreshed; 0 if it may be at any time."""
        ...

    def token_at_once(self) -> Token | None:
        """Return a valid token that is available without waiting, or None."""
        ...


class FailedCredential:
    """Raises an error instead of returning tokens, because the credential could not be created.

    Args:
        error: The error.
    """

    fresh = False
    fresh_for = refresh_in = 0.0

    def __init__(self, error: Exception) -> None:
        self._error = error

    def token_at_once(self) -> Token | None:
        """Return None."""
        return None

    def token(self, timeout: float | None = None) -> Token:
        """Raise the error."""
        raise self._error

    async def token_async(self, timeout: float | None = None) -> Token:  # noqa: ASYNC109 - as token()
        """Raise the error."""
        raise self._error

    def invalidate(self, token: Token) -> None:
        """Do nothing: there was no token."""
