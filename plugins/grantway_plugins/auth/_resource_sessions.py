"""Find the issuer of a resource, log in there, and store what was found. All methods block."""

from __future__ import annotations

import contextlib
import math
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
    ResourceMetadataError,
    ResponseInvalidError,
    StoreError,
    StoreLockError,
    StoreSaveError,
    TransportError,
)
from grantway._log import logger
from grantway._processes.copies import OneProcess
from grantway._processes.fork import fork_safe_lock
from grantway._requests.provider import Provider
from grantway._types.token import Token

from ._resource_clients import Session, first_scope, session_at
from ._resource_login import ResourceLogin
from ._resource_need import LoginCall, Need
from ._resource_record import ResourceRecord
from ._resource_settings import ResourceSettings

if TYPE_CHECKING:
    from grantway._credentials.credential import Credential

#: Seconds of one wait for the lock, after which it is checked whether the caller still waits.
_LOCK = 1.0
#: Seconds during which the challenge of a response is used instead of another request.
_HEARD = 60.0
#: Seconds between two looks at the metadata because of rejected tokens or failed requests.
_LOOK = 60.0

_guard = fork_safe_lock()


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
        #: The session in use, or None.
        self.session: Session | None = None
        #: The access tokens that the resource rejected last; a new session does not know them.
        self.rejected: deque[str] = deque(maxlen=64)
        #: Access token of the last login of this object, and what was required of it.
        self.last_login: tuple[str, object] = ("", None)
        #: Monotonic time at which the metadata was read because of a failure.
        self._looked = -math.inf
        #: Monotonic time and challenge of the last 401 response.
        self.challenge: tuple[float, str] = (-math.inf, "")
        #: A token of a login that could not be stored.
        self._unsaved: tuple[Session, Token] | None = None

    # --- Getting a token --------------------------------------------------------------------------

    def acquire(self, need: Need, call: LoginCall | None) -> Token:
        """Return a token that meets a need: a stored or refreshed one, or that of a login.

        Args:
            need: Why a token is needed.
            call: Calls the program's login; None if there is none, or none is allowed now.

        Raises:
            LoginNeededError: Only a login gets a token, and ``call`` is None.
            GrantwayError: The issuer was not found, or the login failed.
        """
        self._save_unsaved()
        record = self.read()
        seen = record.failure[0] if record else ""
        if need.first and (record is None or not record.requested_at):
            raise NeverLoggedInError(f"No user has logged in to {self.settings.url}.")
        held, session = self.session, self.stored(record)
        provider: Provider | None = None
        reason: GrantwayError | None = None
        if session is not None:
            if isinstance(need.failure, InvalidClientException):
                reason = need.failure
            else:
                session, token, reason = self._current(session, record, need)
                if token is not None:
                    return token
            # Otherwise another process has found the other issuer, and may be logging in there.
            if need.reconsider and (
                held is None or held.provider.issuer == session.provider.issuer
            ):
                provider = self._other_issuer(session)
                if provider is None:
                    return Token(need.presented[-1])
        if call is None:
            raise self._login_needed(session, provider, reason)
        with self.locked(call.cancel) as fence:
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
        self, session: Session, record: ResourceRecord | None, need: Need
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
        session = self._with_new_endpoints(session, record, failure)
        return session, *self.existing(session, need)

    def existing(self, session: Session, need: Need) -> tuple[Token | None, GrantwayError | None]:
        """Return the token of a session if it meets the need, and why there is none."""
        if need.forced:
            return None, None
        credential = session.credential
        try:
            token = credential.token()
            if token.access_token in self.rejected or self._is_outdated(credential, token, need):
                credential.invalidate(token)  # so that it reads the store, and then refreshes
                token = credential.token()
        except LoginNeededError as error:
            return None, error
        except InvalidClientException as error:
            if not session.registered:
                raise
            return None, error
        return (token if need.met_by(token) else None), None

    def _is_outdated(self, credential: Credential, token: Token, need: Need) -> bool:
        """Return whether another process has replaced a token that does not meet the need."""
        if token.access_token not in need.presented:
            return False
        stored = self.settings.store.load(credential.key)
        return stored is not None and stored.access_token != token.access_token

    def _login_needed(
        self, session: Session | None, provider: Provider | None, reason: Exception | None
    ) -> LoginNeededError:
        url = self.settings.url
        if provider is not None:
            problem = f"its issuer is now {provider.issuer}, where no user has logged in."
        elif reason is not None and session is not None and reason.__cause__ is not None:
            problem = f"{session.provider.issuer} rejected the refresh token."
        elif isinstance(reason, InvalidClientException):
            problem = "the authorization server no longer knows the client."
        else:
            problem = "no user has logged in with these settings and this store."
        error = LoginNeededError(
            f"There is no token for {url}: {problem} Call log_in(), or pass login=, such as "
            "login=grantway_grants.authorization_code.login."
        )
        error.__cause__ = reason
        return error

    # --- Finding the issuer -----------------------------------------------------------------------

    def discover(self, record: ResourceRecord | None) -> Provider:
        """Return the provider that the resource names now.

        If the metadata cannot be read at the moment, it is the stored one.

        Raises:
            ResourceMetadataError: The metadata is invalid, or there is none yet.
            TransportError: It could not be read, and nothing is stored.
        """
        settings, (heard, challenge) = self.settings, self.challenge
        try:
            return Provider.for_resource(
                settings.url,
                issuer=settings.issuer,
                challenge=challenge if time.monotonic() - heard < _HEARD else None,
                timeout=settings.timeout,
                transport=settings.transport(),
            )
        except TransportError as error:
            invalid_now = isinstance(error, ResourceMetadataError) and not error.missing
            if record is None or invalid_now:
                raise
            logger.info("%s could not be discovered again (%s)", settings.url, error.code)
            return record.provider

    def _may_look(self) -> bool:
        """Return whether the metadata may be read because of a failure; not if it just was."""
        now = time.monotonic()
        with _guard:
            if now - self._looked < _LOOK:
                return False
            self._looked = now
        return True

    def _other_issuer(self, session: Session) -> Provider | None:
        """Return the provider if the resource names another issuer now."""
        if not self._may_look():
            return None
        try:
            found = self.discover(ResourceRecord(session.provider))
        except ResourceMetadataError as error:
            logger.warning("%s", error)
            return None
        return None if found.issuer == session.provider.issuer else found

    def _with_new_endpoints(
        self, session: Session, record: ResourceRecord | None, failure: Exception
    ) -> Session:
        """Return the session with the issuer's present endpoints, if they have changed.

        Raises:
            Exception: They have not; this is the given failure.
        """
        found = self._other_endpoints(session)
        if found is None:
            raise failure
        with self.locked(threading.Event()) as fence:
            record = (record or ResourceRecord(found)).moved_to(found, session.credential.key)
            self.write(record, fence)
        self.session = made = session_at(found, self.settings, session.scope)
        return made

    def _other_endpoints(self, session: Session) -> Provider | None:
        if not self._may_look():
            return None
        try:
            found = self.discover(ResourceRecord(session.provider))
        except ResourceMetadataError as error:
            logger.warning("%s", error)
            return None
        same = found.issuer == session.provider.issuer
        return found if same and found.token_endpoint != session.provider.token_endpoint else None

    def bind(
        self,
        provider: Provider,
        record: ResourceRecord | None,
        before: Session | None,
        fence: int,
        *,
        instead_of: str | None = None,
    ) -> tuple[Session, ResourceRecord]:
        """Use a provider that was just discovered. Return its session and the stored record.

        Args:
            provider: The provider.
            record: The stored record, or None.
            before: The session so far, or None.
            fence: The fence of the lock.
            instead_of: The ``client_id`` of a registration that the provider no longer knows.

        Raises:
            ResourceMetadataError: The program's client is registered at another issuer.
            GrantwayError: The client could not be registered, or nothing can be stored.
        """
        settings = self.settings
        if record is not None and record.provider.issuer != provider.issuer:
            if settings.client_id is not None:
                raise _other_issuer(settings.url, record.provider.issuer, provider.issuer)
            logger.warning(
                "the issuer of %s changed from %s to %s; the user has to log in again",
                settings.url,
                record.provider.issuer,
                provider.issuer,
            )
        if record is None:
            record = ResourceRecord(provider)
        else:
            record = record.moved_to(provider, before.credential.key if before else "")
        scope = record.registered or first_scope(provider, settings)
        session = session_at(provider, settings, scope, instead_of=instead_of)
        record = replace(record, registered=scope)
        settings.store.save(settings.key, record.to_token(), fence=fence)
        self.session = session
        return session, record

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
        """Store a token from elsewhere."""
        self.keep(self.open(), token)
        with self.locked(threading.Event()) as fence:
            record = self.read()
            if record is not None:
                self.write(record.with_login(token.scope or ()), fence)

    def keep(self, session: Session, token: Token) -> None:
        """Store the token of a login.

        Raises:
            StoreSaveError: It could not be stored; the next call stores it.
        """
        with contextlib.suppress(ValueError):
            self.rejected.remove(token.access_token)  # the provider issued it again
        self._unsaved = session, token
        self._save_unsaved()

    def _save_unsaved(self) -> None:
        if self._unsaved is None:
            return
        session, token = self._unsaved
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
        """Return the session, and find the issuer if necessary. Does not log in."""
        session = self.stored(self.read())
        if session is None:
            with self.locked(threading.Event()) as fence:
                record = self.read()
                session = self.stored(record)
                if session is None:
                    session, _ = self.bind(self.discover(record), record, None, fence)
        return session

    def log_out(self) -> bool:
        """Delete the token and revoke it. Return whether there was one."""
        settings, session = self.settings, self.stored(self.read())
        if session is None:
            return False
        problem: GrantwayError | None = None
        key = session.credential.key
        # Hold the lock so that a concurrent refresh cannot store another token.
        with settings.store.lock(key, settings.timeout) as fence:
            stored = settings.store.load(key)
            if stored is not None:
                problem = _revoke(session, stored)
            settings.store.delete(key, fence=fence)
        session.credential.forget()
        record = self.read()
        for former in () if record is None else record.former:
            settings.store.delete(former)
        self._unsaved = None
        if problem is not None:
            raise problem
        return stored is not None


def _is_of(session: Session, record: ResourceRecord) -> bool:
    one, other = session.provider, record.provider
    if one.issuer != other.issuer or one.token_endpoint != other.token_endpoint:
        return False
    return not session.registered or session.scope == record.registered


def _revoke(session: Session, stored: Token) -> GrantwayError | None:
    """Revoke a token (RFC 7009), and return the error if that failed."""
    if session.provider.revocation_endpoint is None:
        return None
    # The refresh token first: providers may revoke its access tokens with it.
    tokens = {"refresh_token": stored.refresh_token, "access_token": stored.access_token}
    for kind, token in tokens.items():
        if token:
            try:
                session.client.call("revocation", token=token, token_type_hint=kind)
            except GrantwayError as error:
                return error
    return None


def _other_issuer(url: str, former: str | None, issuer: str | None) -> ResourceMetadataError:
    rule = (
        f"names the authorization server {issuer}, but client_id belongs to {former}, so it was "
        "not sent. If the change is expected, register a client there, and pass its client_id and "
        f"issuer={issuer!r}"
    )
    return ResourceMetadataError(
        f"The metadata of the resource {url} {rule}.", document=url, rule=rule
    )
