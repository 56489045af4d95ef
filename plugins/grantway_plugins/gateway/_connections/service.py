"""The connections of users: the only place that changes them."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from grantway._credentials.async_store import asynchronous
from grantway._exceptions import GrantwayError, StoreError
from grantway._processes.copies import OneProcess
from grantway._types.token import Token

from ._background.due import due_at
from ._webhook.message import BrokenMessage
from .connection import EXPIRED, Connection, ConnectionEvent, EventName
from .details import Details
from .outcomes import Connected, ConnectionStatus, Disconnected
from .revocation import revoke
from .stored_tokens import LOCK, NOT_IN_FILE, StoredTokens
from .token_check import TokenCheck

if TYPE_CHECKING:
    from grantway._credentials.credential import Credential
    from grantway_plugins.stores.encrypted._store import EncryptedStore

    from ._background.activity import Activity
    from ._webhook.webhook import Webhook
    from .observer import ConnectionObserver
    from .provider import ConnectionProvider
    from .records import ConnectionRecords
    from .sealed_json import SealedJson
    from .settings import ConnectionsSettings
    from .user import User


_log = logging.getLogger("grantway.gateway")


class Connections(OneProcess):
    """The connections of users to providers. All methods run in one event loop.

    Args:
        settings: Settings of the connections.
        providers: Providers by name.
        records: Keeps what is known about connections.
        store: Keeps the tokens, encrypted.
        sealed: Encrypts the details of connections.
        activity: Collects uses and refreshes until they are saved.
        observer: Logs and counts saved events.
        webhook: Reports broken connections, or None.
        clock: Returns seconds since the epoch.
    """

    def __init__(
        self,
        settings: ConnectionsSettings,
        providers: Mapping[str, ConnectionProvider],
        records: ConnectionRecords,
        store: EncryptedStore,
        sealed: SealedJson,
        *,
        activity: Activity,
        observer: ConnectionObserver,
        webhook: Webhook | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings
        self.providers = providers
        self.records = records
        self.sealed = sealed
        self.activity = activity
        self.observer = observer
        self.webhook = webhook
        self.clock = clock
        self.tokens = StoredTokens(providers, store, sealed)
        self.token_check = TokenCheck(self)
        self._store = asynchronous(store)

    def credential(self, provider: str, user_id: str) -> Credential:
        """Return the credential of a user at a provider."""
        return self.providers[provider].credential(user_id)

    # --- Changes ----------------------------------------------------------------------------------

    async def connected(self, user: User, provider: str, token: Token) -> Connected:
        """Save the token of a user's login. It replaces an earlier one.

        Args:
            user: The user.
            provider: Name of the provider.
            token: The token.

        Raises:
            StoreError: The token was not saved; an earlier connection stays as it was.
        """
        at = self.providers[provider]
        credential, now = at.credential(user.id), self.clock()
        details = Details.of(user, token, at, now)
        old = await self.tokens.load(credential.key)
        await credential.accept_async(token)
        # The token is saved. The record is created again if it cannot be saved now.
        known, before = None, Details()
        try:
            known = await self.records.connection(user.id, provider)
            if known is not None:
                before = Details.opened(known.details, self.sealed, user.id, provider)
            made = Connection(
                user.id,
                provider,
                "connected",
                connected_at=now,
                refreshed_at=now,
                used_at=None,
                due_at=due_at(token, now, self.settings.keep_alive),
                details=details.sealed(self.sealed, user.id, provider),
            )
            name: EventName = "connected" if known is None else "reconnected"
            event = ConnectionEvent(user.id, provider, name, now)
            await self.records.put(made, events=[event])
            self.observer.happened(event)
            await self.tokens.delete_former(known)
        except StoreError as error:
            _log.error("The record of a connection to %s was not saved: %s", provider, error)
            # The background work saves it, also if no request uses the connection.
            self.activity.refreshed(self.settings.keep_alive, user.id, provider, token)
        other = bool(before.account_id) and details.account_id not in {"", before.account_id}
        if other and old is not None:
            # Not for the same account: some providers would revoke the new token as well.
            await revoke(at, old)
        return Connected(
            again=known is not None,
            account=details.account,
            before=before.account if other else "",
            missing_scope=details.missing_scope,
            ends=not token.refresh_token,
        )

    async def disconnect(self, user: User, provider: str) -> Disconnected:
        """Disconnect a user; see ``remove``."""
        return await self.remove(user.id, provider)

    async def remove(self, user_id: str, provider: str, *, by: str = "") -> Disconnected:
        """Revoke and delete the token of a connection, also if it cannot be revoked.

        Other gateways that hold the token drop it within the seconds of ``recheck``. The provider
        may have been removed from the file.

        Args:
            user_id: ``User.id`` of the user.
            provider: Name of the provider.
            by: Reason in the audit trail if it was not the user.

        Raises:
            ConfigurationError: The provider is not in the file, and the record does not name the
                token.
            StoreError: The token was not deleted.
        """
        known = await self.records.connection(user_id, provider)
        if known is not None and known.state == "connected":
            # So that a request in the meantime does not report the connection as broken.
            await self.records.change(replace(known, state="broken", due_at=math.inf))
        try:
            if provider in self.providers:
                await self.tokens.delete_former(known)
                token, problem = await self.tokens.revoke(user_id, provider)
            else:
                token, problem = await self.tokens.delete(known), NOT_IN_FILE
        except BaseException:
            if known is not None and known.state == "connected":
                await self._undo(known)
            raise
        revoked = token is not None and not problem
        name: EventName = "revoked" if revoked else "disconnected"
        event = ConnectionEvent(user_id, provider, name, self.clock(), problem or by)
        existed = await self.records.remove(user_id, provider, events=[event])
        if not existed and token is not None:
            await self.records.record([event])
        if existed or token is not None:
            self.observer.happened(event)
        return Disconnected(existed or token is not None, revoked, problem)

    async def _undo(self, before: Connection) -> None:
        """Mark a connection as working again whose token could not be deleted."""
        with suppress(StoreError):
            known = await self.records.connection(before.user, before.provider)
            if known is not None and known.state == "broken":
                restored = replace(known, state=before.state, due_at=before.due_at)
                await self.records.change(restored)

    async def broken(self, user_id: str, provider: str, reason: str) -> bool:
        """Record that a provider rejected the token of a connection.

        Returns:
            Whether this call changed the connection; of several gateways, only one does.
        """
        known = await self.records.connection(user_id, provider)
        if known is None or known.state == "broken":
            return False
        # After reading the record: if the user connects again meanwhile, the change below fails.
        stored = await self._store.load_async(self.credential(provider, user_id).key)
        if stored is not None and (stored.refresh_token or await self._works(known, reason)):
            return False  # the user has connected again already
        event = ConnectionEvent(user_id, provider, "broken", self.clock(), reason)
        jobs = []
        if self.webhook is not None:
            jobs = [BrokenMessage.new(user_id, provider, reason, event.at).job()]
        changed = replace(known, state="broken", due_at=math.inf)
        if not await self.records.change(changed, events=[event], jobs=jobs):
            return False
        self.observer.happened(event)
        return True

    async def _works(self, known: Connection, reason: str) -> bool:
        """Return whether there is a usable token, although an earlier one has expired."""
        if reason != EXPIRED:
            return False  # the access token of a rejected connection may be used until it expires
        try:
            await self.credential(known.provider, known.user).token_async()
        except GrantwayError:
            return False
        return True

    async def repaired(self, known: Connection) -> Connection:
        """Return a broken connection as a working one if its token can be refreshed after all.

        A gateway may save its new token, or a user's login, after another gateway was rejected.
        """
        at = self.providers.get(known.provider)
        stored = None if at is None else await self.tokens.load(at.credential(known.user).key)
        if stored is None or not stored.refresh_token:
            return known
        due = due_at(stored, self.clock(), self.settings.keep_alive)
        return replace(known, state="connected", due_at=due)

    async def restored(self, user_id: str, provider: str) -> Connection | None:
        """Create the record of a stored token again that was lost, without its details.

        Returns:
            The record, or None if there is no token, or no such provider in the file any more.
        """
        if provider not in self.providers:
            return None
        key = self.credential(provider, user_id).key
        # With the lock, so that no record is left if the user disconnects now.
        async with self._store.lock_async(key, LOCK):
            token = await self._store.load_async(key)
            if token is None:
                return None
            known = await self.records.connection(user_id, provider)
            if known is not None:
                return known  # a login has saved it meanwhile
            now, details = self.clock(), Details(identity=self.providers[provider].identity)
            await self.records.put(
                Connection(
                    user_id,
                    provider,
                    "connected",
                    connected_at=now,
                    refreshed_at=now,
                    used_at=None,
                    due_at=due_at(token, now, self.settings.keep_alive),
                    details=details.sealed(self.sealed, user_id, provider),
                )
            )
        return await self.records.connection(user_id, provider)

    # --- Reading ----------------------------------------------------------------------------------

    async def overview(self, user: User) -> Sequence[ConnectionStatus]:
        """Return all providers with the user's connections, sorted by title."""
        found = {each.provider: each for each in await self.records.connections(user.id)}
        shown = [self._status(user, each, found.get(each.name)) for each in self.providers.values()]
        return sorted(shown, key=lambda each: (each.title.lower(), each.provider))

    async def status(self, user: User, provider: str) -> ConnectionStatus:
        """Return one provider with the user's connection."""
        known = await self.records.connection(user.id, provider)
        return self._status(user, self.providers[provider], known)

    def _status(
        self, user: User, at: ConnectionProvider, known: Connection | None
    ) -> ConnectionStatus:
        if known is None:
            return ConnectionStatus(at.name, at.title)
        details = Details.opened(known.details, self.sealed, user.id, at.name)
        return ConnectionStatus.of(at.title, known, details)

    def __repr__(self) -> str:
        return f"Connections({', '.join(self.providers)})"
