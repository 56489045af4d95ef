"""The session of a resource: its client and token, in this process and in the store."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from grantway._exceptions import (
    GrantwayError,
    InvalidClientException,
    LoginNeededError,
    StoreError,
    StoreSaveError,
)
from grantway._log import logger
from grantway._processes.copies import OneProcess
from grantway._types.token import Token

from .clients import Session, bind, first_scope, session_at
from .finder import ResourceFinder
from .need import Need, Reason
from .record import ResourceRecord, same_issuer_and_resource
from .record_store import RecordStore
from .rejection import Rejection, is_rejection
from .settings import ResourceSettings

if TYPE_CHECKING:
    from grantway._credentials.credential import Credential
    from grantway._requests.provider import Provider


class Sessions(OneProcess):
    """The session of a resource: the one of this process, and that of the record in the store.

    All methods block.

    Args:
        settings: The program's settings.
    """

    stays = "it holds a session"

    def __init__(self, settings: ResourceSettings) -> None:
        self.settings = settings
        self.records = RecordStore(settings)
        self.finder = ResourceFinder(settings)
        #: The session in use, or None.
        self.session: Session | None = None
        #: The tokens that the resource rejected last; a new session does not know them.
        self._rejected: deque[Token] = deque(maxlen=64)
        #: The last refresh that the provider rejected, or None.
        self._rejection_of_refresh: Rejection | None = None
        #: Access token of the last login of this object, and what was required of it.
        self.last_login: tuple[str, object] = ("", None)
        #: The session of the last client that the program got, and the record for it.
        self._found: tuple[Session, ResourceRecord] | None = None
        #: A token of a login that could not be stored, and the time of the login.
        self._unsaved: tuple[Session, Token, float] | None = None

    # --- The session ------------------------------------------------------------------------------

    def session_of(self, record: ResourceRecord | None) -> Session | None:
        """Return the session of the record, which another process may have changed."""
        session = self.session
        if record is not None and (session is None or not _is_of(session, record)):
            self.session = session = session_at(
                record.provider, self.settings, record.registered_scope
            )
        return session

    def prepare(
        self,
        provider: Provider,
        record: ResourceRecord | None,
        before: Session | None,
        *,
        instead_of: str | None = None,
    ) -> tuple[Session, ResourceRecord]:
        """Return the session at a provider that was just discovered, and the record for it.

        Args:
            provider: The provider.
            record: The stored record, or None.
            before: The session so far, or None.
            instead_of: The ``client_id`` of a registration that the provider no longer knows.

        Raises:
            ResourceMetadataError: The program's client is registered at another issuer.
            GrantwayError: The client could not be registered.
        """
        settings = self.settings
        if settings.client_id is not None:
            bind(settings, provider)
        if record is None:
            record = ResourceRecord(provider)
        elif record.provider.issuer == provider.issuer:
            record = replace(record, provider=provider)
        else:
            logger.warning(
                "the issuer of %s changed from %s to %s, which has no token of the former one",
                settings.url,
                record.provider.issuer,
                provider.issuer,
            )
            record = record.moved_to(provider, "" if before is None else before.credential.key)
        scope = record.registered_scope or first_scope(provider, settings)
        session = session_at(provider, settings, scope, instead_of=instead_of)
        return session, replace(record, registered_scope=scope)

    def use(self, session: Session, record: ResourceRecord, fence: int) -> None:
        """Use a session from now on, in this process and others."""
        self.records.write_if_newest(record, fence)
        self.session = session

    def open(self) -> Session:
        """Return the session; find the issuer if it is unknown. Does not log in."""
        return self.session_of(self.records.read()) or self.find()

    def find(self) -> Session:
        """Find the issuer, and return the session there."""
        with self.records.lock() as fence:
            record = self.records.read()
            before = self.session_of(record)
            session, new_record = self.prepare(self.finder.discover(record), record, before)
            self._found = session, new_record
            # The former issuer stays in use until there is a token of the new one.
            if record is None or same_issuer_and_resource(record.provider, session.provider):
                self.use(session, new_record, fence)
        return session

    # --- Its token --------------------------------------------------------------------------------

    def existing_token(
        self, session: Session, need: Need
    ) -> tuple[Token | None, GrantwayError | None]:
        """Return the token of a session if it meets the need, and why there is none."""
        if need.reason is Reason.LOG_IN:
            return None, None
        credential = session.credential
        if (rejection := self._rejection(session)) is not None:
            return None, rejection
        try:
            token = credential.token()
            if self._is_rejected(token) or self._is_outdated(credential, token, need):
                credential.invalidate(token)  # so that it reads the store, and then refreshes
                token = credential.token()
        except LoginNeededError as error:
            return None, error
        except GrantwayError as error:
            if not _is_final(error, session):
                raise
            self.record_rejection(session, error)
            return None, error
        return (token if need.met_by(token) else None), None

    def record_rejection(self, session: Session, error: GrantwayError) -> None:
        """Record that the provider rejected a refresh, or does not know the client."""
        stored = self.settings.store.load(session.credential.key)
        self._rejection_of_refresh = Rejection(error, stored)

    def repeats_rejection(self, session: Session) -> bool:
        """Return whether its credential would wait to repeat a rejected refresh.

        Reads no store: another process may have stored a token since then.
        """
        known = self._rejection_of_refresh is not None
        return known and not session.credential.alive and _pauses_after_rejection(session)

    def _rejection(self, session: Session) -> GrantwayError | None:
        """Return the error of the last refresh if the next one would be the same."""
        last = self._rejection_of_refresh
        if last is None or not (last.is_recent or _pauses_after_rejection(session)):
            return None
        stored = self.settings.store.load(session.credential.key)
        usable = stored is not None and not stored.expired() and not self._is_rejected(stored)
        return last.error if last.is_of(stored) and not usable else None

    def reject(self, token: Token) -> None:
        """Record that the resource rejected a token."""
        if not self._is_rejected(token):
            self._rejected.append(token)
        if self.session is not None:
            self.session.credential.invalidate(token)

    def _is_rejected(self, token: Token) -> bool:
        return any(each.access_token == token.access_token for each in tuple(self._rejected))

    def _is_outdated(self, credential: Credential, token: Token, need: Need) -> bool:
        """Return whether another process has replaced a token that does not meet the need."""
        if token.access_token not in need.presented:
            return False
        stored = self.settings.store.load(credential.key)
        return stored is not None and stored.access_token != token.access_token

    def accept(self, token: Token) -> None:
        """Store a token from elsewhere; after ``find``, one of the issuer that it found.

        Another process may have moved to another issuer since then, which must not get the token.
        """
        session, found = self._found or (self.open(), None)
        with self.records.lock() as fence:
            self.save_token(session, token)
            record = self.records.read()
            if record is None or not same_issuer_and_resource(record.provider, session.provider):
                record = found
            if record is not None:
                self.use(session, record.with_login(token.scope or ()), fence)

    def save_token(self, session: Session, token: Token) -> None:
        """Store the token of a login.

        Raises:
            StoreSaveError: It could not be stored; the next call stores it.
        """
        # A token that the provider has issued again is not rejected any more.
        self._rejected = deque(
            (each for each in self._rejected if each.access_token != token.access_token), 64
        )
        self._unsaved = session, token, time.time()
        self.save_unsaved_token(None)

    def save_unsaved_token(self, record: ResourceRecord | None) -> None:
        """Store the token of a login, unless the record has a later one of another process."""
        if self._unsaved is None:
            return
        session, token, at = self._unsaved
        if record is not None and at < record.requested_at <= time.time():
            self._unsaved = None
            return
        try:
            session.credential.accept(token)
        except StoreError as error:
            raise StoreSaveError(
                f"{error} This process keeps the token of the login, and the next call saves it.",
                token=token,
            ) from error
        self._unsaved = None

    def forget(self, session: Session) -> None:
        """Drop the token of a session that was deleted from the store."""
        self._unsaved = None
        session.credential.forget()


def _is_final(error: Exception | None, session: Session) -> bool:
    """Return whether the provider rejected a refresh, or does not know a registered client."""
    if isinstance(error, InvalidClientException):
        return session.registered
    return isinstance(error, GrantwayError) and is_rejection(error)


def _pauses_after_rejection(session: Session) -> bool:
    credential = session.credential
    return credential.paused_for > 0 and _is_final(credential.last_error, session)


def _is_of(session: Session, record: ResourceRecord) -> bool:
    one, other = session.provider, record.provider
    if not same_issuer_and_resource(one, other) or one.token_endpoint != other.token_endpoint:
        return False
    return not session.registered or session.registered_scope == record.registered_scope
