"""Find the issuer of a resource, log in there, and store what was found. All methods block."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from grantway._exceptions import (
    ConnectionFailedError,
    FlowCancelledError,
    GrantwayError,
    InvalidClientException,
    LeaseLostError,
    LoginNeededError,
    ResponseInvalidError,
    StoreError,
    StoreLockError,
    StoreSaveError,
)
from grantway._log import logger
from grantway._processes.copies import OneProcess
from grantway._types.token import Token

from .clients import Session, bind, first_scope, session_at
from .finder import ResourceFinder
from .login import ResourceLogin
from .login_call import LoginCall
from .need import Need, Reason
from .record import ResourceRecord, place_of
from .rejection import Rejection, is_rejection
from .settings import ResourceSettings

if TYPE_CHECKING:
    from grantway._credentials.credential import Credential
    from grantway._requests.provider import Provider

#: Seconds of one wait for the lock, after which it is checked whether the caller still waits.
_LOCK = 1.0


class NeverLoggedInError(LoginNeededError):
    """No user has logged in, so the resource may be requested without a token."""


class Sessions(OneProcess):
    """The session of a resource: the one of this process, and the record in the store.

    Args:
        settings: The program's settings.
    """

    stays = "it holds a session"

    def __init__(self, settings: ResourceSettings) -> None:
        self.settings = settings
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

    # --- Getting a token --------------------------------------------------------------------------

    def acquire(self, need: Need, call: LoginCall | None, cancel: threading.Event) -> Token:
        """Return a token that meets a need: a stored or refreshed one, or that of a login.

        Args:
            need: Why a token is needed.
            call: Calls the program's login; None if there is none, or none is allowed now.
            cancel: Set when no caller waits any more.

        Raises:
            LoginNeededError: Only a login gets a token, and ``call`` is None.
            GrantwayError: The issuer was not found, or the login failed.
        """
        record = self.read()
        self._save_unsaved(record)
        seen = record.failure[0] if record else ""
        if need.reason is Reason.FIRST_REQUEST and (record is None or not record.requested_at):
            raise NeverLoggedInError(f"No user has logged in to {self.settings.url}.")
        held, session = self.session, self.stored(record)
        provider: Provider | None = None
        reason: GrantwayError | None = None
        if session is not None:
            if isinstance(need.failure, InvalidClientException):
                if session.client.client_id == need.failed_client:
                    reason = need.failure
                else:
                    need = replace(need, failure=None)  # another caller has registered again
            if reason is None:
                session, token, reason = self._current(session, need, cancel)
                if token is not None:
                    return token
            # Otherwise another process has found the other issuer, and may be logging in there.
            if need.reason is Reason.REJECTED and (
                held is None or place_of(held.provider) == place_of(session.provider)
            ):
                provider = self.finder.other_issuer(session, cancel)
                if provider is None:
                    return Token(need.presented[-1])
        if call is None:
            raise self._login_needed(session, provider, reason)
        with self.locked(cancel) as fence:
            attempt = ResourceLogin(self, need, call, fence)
            attempt.session, attempt.provider, attempt.reason = session, provider, reason
            return attempt.token(seen)

    def stored(self, record: ResourceRecord | None) -> Session | None:
        """Return the session of the record, which another process may have changed."""
        held = self.session
        if record is None:
            return held
        if held is None or not _is_of(held, record):
            self.session = held = session_at(record.provider, self.settings, record.registered)
        return held

    def _current(
        self, session: Session, need: Need, cancel: threading.Event
    ) -> tuple[Session, Token | None, GrantwayError | None]:
        """Return the session, its token if it meets the need, and why there is none.

        If the provider cannot be reached, its endpoints may have moved.
        """
        failure = need.failure
        if failure is None:
            try:
                return session, *self.existing(session, need)
            except (ConnectionFailedError, ResponseInvalidError) as error:
                failure = error
        session = self._with_new_endpoints(session, failure, cancel)
        return session, *self.existing(session, need)

    def existing(self, session: Session, need: Need) -> tuple[Token | None, GrantwayError | None]:
        """Return the token of a session if it meets the need, and why there is none."""
        if need.reason is Reason.LOG_IN:
            return None, None
        credential = session.credential
        if (rejection := self._rejection(credential)) is not None:
            return None, rejection
        try:
            token = credential.token()
            if self._is_rejected(token) or self._is_outdated(credential, token, need):
                credential.invalidate(token)  # so that it reads the store, and then refreshes
                token = credential.token()
        except LoginNeededError as error:
            return None, error
        except GrantwayError as error:
            known = isinstance(error, InvalidClientException) and session.registered
            if not known and not is_rejection(error):
                raise
            if not known:
                stored = self.settings.store.load(credential.key)
                self._rejection_of_refresh = Rejection(error, stored)
            return None, error
        return (token if need.met_by(token) else None), None

    def _rejection(self, credential: Credential) -> GrantwayError | None:
        """Return the error of the last refresh if the next one would be the same."""
        if (last := self._rejection_of_refresh) is None:
            return None
        stored = self.settings.store.load(credential.key)
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

    def _login_needed(
        self, session: Session | None, provider: Provider | None, reason: GrantwayError | None
    ) -> LoginNeededError:
        url = self.settings.url
        if provider is not None:
            problem = f"its issuer is now {provider.issuer}, where no user has logged in."
        elif reason is not None and session is not None and reason.__cause__ is not None:
            problem = f"{session.provider.issuer} rejected the refresh token."
        elif isinstance(reason, InvalidClientException):
            problem = "the authorization server no longer knows the client."
        elif reason is not None and is_rejection(reason):
            problem = f"the refresh token was rejected: {reason}"
        else:
            problem = "no user has logged in with these settings and this store."
        error = LoginNeededError(
            f"There is no token for {url}: {problem} Pass login=, such as "
            "login=grantway_grants.authorization_code.login, or log in with client() and pass the "
            "token to accept()."
        )
        error.__cause__ = reason
        return error

    def _with_new_endpoints(
        self, session: Session, failure: Exception, cancel: threading.Event
    ) -> Session:
        """Return the session with the issuer's present endpoints, if they have changed.

        Raises:
            Exception: They have not; this is the given failure.
        """
        found = self.finder.other_endpoints(session, cancel)
        if found is None:
            raise failure
        with self.locked(cancel) as fence:
            record = self.read() or ResourceRecord(found, registered=session.scope)
            if place_of(record.provider) != place_of(session.provider):
                return self.stored(record) or session  # another process has moved meanwhile
            made = session_at(found, self.settings, record.registered)
            self.use(made, replace(record, provider=found), fence)
        return made

    # --- The session at a provider ----------------------------------------------------------------

    def at(
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
        scope = record.registered or first_scope(provider, settings)
        session = session_at(provider, settings, scope, instead_of=instead_of)
        return session, replace(record, registered=scope)

    def use(self, session: Session, record: ResourceRecord, fence: int) -> None:
        """Use a session from now on, in this process and others."""
        self.write(record, fence)
        self.session = session

    # --- The store --------------------------------------------------------------------------------

    def read(self) -> ResourceRecord | None:
        """Return the stored record of the resource."""
        return ResourceRecord.of(self.settings.store.load(self.settings.key))

    def write(self, record: ResourceRecord, fence: int) -> None:
        """Store the record. Without it, the next process discovers the resource again."""
        try:
            self.settings.store.save(self.settings.key, record.to_token(), fence=fence)
        except LeaseLostError:
            logger.debug("another process has stored a newer record of %s", self.settings.url)

    @contextlib.contextmanager
    def locked(self, cancel: threading.Event) -> Iterator[int]:
        """Hold the lock of the record. A login in another process may take minutes."""
        settings = self.settings
        with contextlib.ExitStack() as held:
            while True:
                if cancel.is_set():
                    raise FlowCancelledError("The login was cancelled: nothing waits for it.")
                try:
                    fence = held.enter_context(settings.store.lock(settings.key, _LOCK))
                    break
                except StoreLockError:
                    continue
            yield fence

    def accept(self, token: Token) -> None:
        """Store a token from elsewhere; after ``find``, one of the issuer that it found.

        Another process may have moved to another issuer since then, which must not get the token.
        """
        session, found = self._found or (self.open(), None)
        with self.locked(threading.Event()) as fence:
            self.keep(session, token)
            record = self.read()
            if record is None or place_of(record.provider) != place_of(session.provider):
                record = found
            if record is not None:
                self.use(session, record.with_login(token.scope or ()), fence)

    def keep(self, session: Session, token: Token) -> None:
        """Store the token of a login.

        Raises:
            StoreSaveError: It could not be stored; the next call stores it.
        """
        # A token that the provider has issued again is not rejected any more.
        self._rejected = deque(
            (each for each in self._rejected if each.access_token != token.access_token), 64
        )
        self._unsaved = session, token, time.time()
        self._save_unsaved(None)

    def _save_unsaved(self, record: ResourceRecord | None) -> None:
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

    # --- Other calls ------------------------------------------------------------------------------

    def open(self) -> Session:
        """Return the session; find the issuer if it is unknown. Does not log in."""
        return self.stored(self.read()) or self.find()

    def find(self) -> Session:
        """Find the issuer, and return the session there."""
        with self.locked(threading.Event()) as fence:
            record = self.read()
            before = self.stored(record)
            session, moved = self.at(self.finder.discover(record), record, before)
            self._found = session, moved
            # The former issuer stays in use until there is a token of the new one.
            if record is None or place_of(record.provider) == place_of(session.provider):
                self.use(session, moved, fence)
        return session

    def forget(self, session: Session) -> None:
        """Drop the token of a session that was deleted from the store."""
        self._unsaved = None
        session.credential.forget()


def _is_of(session: Session, record: ResourceRecord) -> bool:
    one, other = session.provider, record.provider
    if place_of(one) != place_of(other) or one.token_endpoint != other.token_endpoint:
        return False
    return not session.registered or session.scope == record.registered
