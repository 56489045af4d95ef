"""The stored tokens of connections, also those that no provider in the file names any more."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from grantway._credentials.async_store import asynchronous
from grantway._exceptions import ConfigurationError, StoreUnreadableError
from grantway._processes.copies import OneProcess
from grantway._types.token import Token

from .details import Details
from .provider import token_key
from .revocation import revoke

if TYPE_CHECKING:
    from grantway_plugins.stores.encrypted._store import EncryptedStore

    from .connection import Connection
    from .provider import ConnectionProvider
    from .sealed_json import SealedJson

#: Longest wait for the lock of a token, in seconds.
LOCK = 30.0
#: Why the token of a removed provider is not revoked.
NOT_IN_FILE = "the provider is not in the gateway's file"

_log = logging.getLogger("grantway.gateway")


class StoredTokens(OneProcess):
    """Reads, revokes, deletes and encrypts stored tokens. All methods run in one event loop.

    Args:
        providers: Providers by name.
        store: Keeps the tokens, encrypted.
        sealed: Decrypts the details of connections.
    """

    def __init__(
        self,
        providers: Mapping[str, ConnectionProvider],
        store: EncryptedStore,
        sealed: SealedJson,
    ) -> None:
        self._providers, self._sealed = providers, sealed
        self._encrypted, self._store = store, asynchronous(store)

    async def load(self, key: str) -> Token | None:
        """Return a stored token; None if no known key decrypts it.

        Users must be able to connect again and to disconnect after the loss of a key.
        """
        try:
            return await self._store.load_async(key)
        except StoreUnreadableError as error:
            _log.warning("A stored token of a connection cannot be read: %s", error)
            return None

    def key(self, known: Connection) -> str | None:
        """Return the name of a token in the store, or None if it is unknown."""
        if known.provider in self._providers:
            return self._providers[known.provider].credential(known.user).key
        details = Details.opened(known.details, self._sealed, known.user, known.provider)
        return token_key(details.identity, known.user) if details.identity else None

    async def problem_of(self, known: Connection) -> str | None:
        """Return why the token of a connection cannot be read.

        Returns:
            The reason; empty if it can be read, None if there is no token.
        """
        key = self.key(known)
        try:
            token = None if key is None else await self._store.load_async(key)
        except StoreUnreadableError as error:
            return error.message
        return None if token is None else ""

    async def revoke(self, user_id: str, provider: str) -> tuple[Token | None, str]:
        """Revoke and delete a token; return it, and why it was not revoked."""
        at = self._providers[provider]
        credential, problem = at.credential(user_id), ""
        # The lock keeps another gateway from refreshing the token while it is revoked.
        async with self._store.lock_async(credential.key, LOCK) as fence:
            token = await self.load(credential.key)
            if token is not None and not token.refresh_token and token.expired():
                token = None  # there is nothing left to revoke
            if token is not None:
                problem = await revoke(at, token)
            await self._store.delete_async(credential.key, fence=fence)
        await credential.forget_async()
        return token, problem

    async def delete(self, known: Connection | None) -> Token | None:
        """Delete the token of a provider that is not in the file any more, and return it.

        Raises:
            ConfigurationError: The record does not name the token.
            StoreError: The token was not deleted.
        """
        if known is None:
            return None
        key = self.key(known)
        if key is None:
            name = known.provider
            raise ConfigurationError(
                f"The record of {known.user} does not name the token of {name}. Put the tables "
                f"[providers.{name}] and [connections.providers.{name}] into the file again, and "
                "repeat this."
            )
        async with self._store.lock_async(key, LOCK) as fence:
            token = await self.load(key)
            await self._store.delete_async(key, fence=fence)
        return token

    async def delete_former(self, known: Connection | None) -> None:
        """Delete a token that an earlier client or issuer in the file got for the connection."""
        if known is not None:
            at, of = self._providers[known.provider], (known.user, known.provider)
            identity = Details.opened(known.details, self._sealed, *of).identity
            if identity not in {"", at.identity}:
                await self._store.delete_async(token_key(identity, known.user))

    async def reencrypt(self, known: Connection) -> bool | None:
        """Encrypt a token with the newest key; see ``EncryptedStore.reencrypt_async``.

        Returns:
            None if the provider is not in the file, and the record does not name the token.
        """
        key = self.key(known)
        return None if key is None else await self._encrypted.reencrypt_async(key, LOCK)
