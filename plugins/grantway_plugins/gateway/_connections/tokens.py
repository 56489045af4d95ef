"""The tokens of routes that use the connections of their users."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grantway._exceptions import LoginNeededError
from grantway._processes.copies import OneProcess
from grantway._types.token import Token
from grantway_plugins.gateway.upstream._rejection import ConnectionNeededError

from .connection import EXPIRED

if TYPE_CHECKING:
    from grantway._credentials.credential import Credential

    from .provider import ConnectionProvider
    from .service import Connections


class ConnectionTokens(OneProcess):
    """The tokens of users at one provider.

    Args:
        connections: The connections.
        provider: Name of the provider.
    """

    stays = "it holds tokens of this process; create one in the process that uses it"

    def __init__(self, connections: Connections, provider: str) -> None:
        self._connections = connections
        self._provider = connections.providers[provider]

    def credential(self, user_id: str) -> UserCredential:
        """Return the credential of a user."""
        held = self._provider.credential(user_id)
        return UserCredential(self._connections, self._provider, user_id, held)

    def alive(self) -> bool:
        """Return whether any user has a usable token in memory."""
        return self._provider.pool.alive()


class UserCredential:
    """The credential of a user. Its errors say where the user can connect an account.

    Args:
        connections: The connections.
        provider: The provider.
        user_id: ``User.id`` of the user.
        held: The user's credential.
    """

    __slots__ = ("_connections", "_held", "_provider", "_user_id")

    def __init__(
        self,
        connections: Connections,
        provider: ConnectionProvider,
        user_id: str,
        held: Credential,
    ) -> None:
        self._connections, self._provider = connections, provider
        self._user_id, self._held = user_id, held

    @property
    def client_auth(self) -> object:
        """See ``Credential.client_auth``."""
        return self._held.client_auth

    @property
    def fresh(self) -> bool:
        """See ``Credential.fresh``."""
        return self._held.fresh

    @property
    def fresh_for(self) -> float:
        """See ``Credential.fresh_for``."""
        return self._held.fresh_for

    @property
    def refresh_in(self) -> float:
        """See ``Credential.refresh_in``."""
        return self._held.refresh_in

    def token_at_once(self) -> Token | None:
        """See ``Credential.token_at_once``."""
        token = self._held.token_at_once()
        if token is not None:
            self._connections.activity.used(self._user_id, self._provider.name)
        return token

    def token(self, timeout: float | None = None) -> Token:
        """Return a valid token.

        Raises:
            ConnectionNeededError: The user has to connect an account.
        """
        try:
            token = self._held.token(timeout)
        except LoginNeededError as error:
            needed = self._needed(rejected=_is_rejected(error))
        else:
            self._connections.activity.used(self._user_id, self._provider.name)
            return token
        raise needed

    async def token_async(self, timeout: float | None = None) -> Token:  # noqa: ASYNC109 - as token()
        """Return a valid token without blocking the event loop; see ``token``."""
        try:
            token = await self._held.token_async(timeout)
        except LoginNeededError as error:
            rejected = _is_rejected(error)
            reason = str(error.members.get("error") or "") or ("" if rejected else EXPIRED)
        else:
            self._connections.activity.used(self._user_id, self._provider.name)
            return token
        # A connection without token has expired, unless another gateway removes it just now.
        about = (self._user_id, self._provider.name)
        if await self._connections.records.connection(*about) is not None:
            rejected = True
            await self._connections.broken(*about, reason)
        raise self._needed(rejected=rejected)

    def invalidate(self, token: Token) -> None:
        """See ``Credential.invalidate``."""
        self._held.invalidate(token)

    def _needed(self, *, rejected: bool) -> ConnectionNeededError:
        at = self._provider
        return ConnectionNeededError(
            at.name, at.title, self._connections.settings.page(at.name), broken=rejected
        )


def _is_rejected(error: LoginNeededError) -> bool:
    """Return whether the provider rejected a stored token."""
    return error.evidence.provider is not None
