"""One login to a resource, while no other process logs in."""

from __future__ import annotations

import contextlib
import secrets
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from grantway._exceptions import (
    GrantwayError,
    InvalidClientException,
    InvalidScopeException,
    LoginNeededError,
    UnauthorizedClientException,
)
from grantway._processes.copies import OneProcess
from grantway._secrets.redaction import printable
from grantway._types.token import Token
from grantway_grants.authorization_code import check_registration
from grantway_plugins._provider_features import with_offline_access

from .clients import Session, session_at
from .login_call import LoginCall
from .login_failures import message_of
from .need import Need, Reason, requirements_of
from .record import BURST, ResourceRecord, same_issuer_and_resource
from .rejection import is_unknown_client

if TYPE_CHECKING:
    from grantway._requests.provider import Provider

    from .sessions import Sessions

#: Seconds during which the same scope is not requested again.
_REPEATED_SCOPE = 300.0


class UnsatisfiedError(LoginNeededError):
    """A login requested this scope a moment ago, and the resource still requires it."""


class ResourceLogin(OneProcess):
    """One login, which holds the lock of the resource's record.

    Args:
        sessions: The sessions of the resource.
        need: Why a token is needed.
        call: Calls the program's login.
        fence: The fence of the lock.

    Attributes:
        session: The session so far, or None.
        provider: The provider that the resource names, if it was discovered just now.
        problem: Why the session has no token, or None.
    """

    stays = "it holds a lock"

    def __init__(self, sessions: Sessions, need: Need, call: LoginCall, fence: int) -> None:
        self._sessions = sessions
        self._settings = sessions.settings
        self._need = need
        self._is_step_up = need.reason is Reason.STEP_UP
        #: Whether the program asked for a login, which is then not refused for its frequency.
        self._is_explicit = need.reason is Reason.LOG_IN
        self._call = call
        self._fence = fence
        self.session: Session | None = None
        self.provider: Provider | None = None
        self.problem: Exception | None = None

    def token(self, known_failure: str) -> Token:
        """Return the token of the login, or one that another process got meanwhile.

        Args:
            known_failure: Identifier of the last failed login before the wait for the lock, or
                empty.

        Raises:
            LoginNeededError: The login for which this one waited failed.
            GrantwayError: The issuer was not found, or the login failed.
        """
        record = self._sessions.records.read()
        failure = ("", "") if record is None or self._is_explicit else record.failure
        if failure[0] not in {"", known_failure}:  # empty after a successful login
            raise LoginNeededError(
                f"There is no token for {self._settings.url}: the login for which this request was "
                f"waiting failed. {failure[1]}"
            )
        if (token := self._token_of_another_process(record)) is not None:
            return token
        self._check_rate(record)  # before a registration, which a new issuer could demand each time
        session, new_record = self._at(self._provider(record), record)
        # The former issuer stays in use until there is a token of the new one.
        record_so_far = new_record
        if record is not None and not same_issuer_and_resource(record.provider, session.provider):
            record_so_far = record
        if not self._is_step_up and (token := self._existing(session)) is not None:
            self._sessions.use(session, new_record, self._fence)
            return token  # of an earlier login at this issuer
        scope = self._scope(session, new_record)
        self._check_progress(scope, session, new_record)
        record_so_far, new_record = record_so_far.with_attempt(), new_record.with_attempt()
        # Before the login, whose token would be lost if nothing could be stored.
        self._sessions.records.write(record_so_far, self._fence)
        try:
            session, token = self._log_in(session, scope)
        except Exception as error:
            # Those that wait for a login that was interrupted log in themselves.
            if not self._call.interrupted_by(error):
                self._record_failure(record_so_far, error)
            raise
        if token.scope is None and scope:
            token = replace(token, scope=scope)  # RFC 6749 section 5.1
        if (other := self._token_of_overtaking_process(record_so_far)) is not None:
            return other
        self._sessions.last_login = (token.access_token, requirements_of(self._need))
        self._sessions.save_token(session, token)
        new_record = replace(new_record, registered_scope=session.registered_scope).with_login(
            scope
        )
        self._sessions.use(session, new_record, self._fence)
        return token

    # --- Before the login -------------------------------------------------------------------------

    def _token_of_another_process(self, record: ResourceRecord | None) -> Token | None:
        """Return the token if another process has logged in since this one read the record."""
        current = None if record is None else self._sessions.session_of(record)
        if current is None:
            return None
        found = self.provider
        if found is not None and not same_issuer_and_resource(current.provider, found):
            return None
        if current.registered and is_unknown_client(self.problem):
            # Another process may have registered the client again.
            before = current.client.client_id
            self._sessions.session = current = session_at(
                current.provider, self._settings, current.registered_scope
            )
            if current.client.client_id == before:
                self.session = current
                return None
        self.session = current
        return self._existing(current)

    def _existing(self, session: Session) -> Token | None:
        token, problem = self._sessions.existing_token(session, self._need)
        if token is None:
            self.problem = problem or self.problem
        return token

    def _provider(self, record: ResourceRecord | None) -> Provider:
        """Return the provider that the resource names now; more scope does not change it."""
        if self.provider is None and self._is_step_up and record is not None:
            return record.provider
        return self.provider or self._sessions.finder.discover(record, self._call.cancel)

    def _at(
        self, provider: Provider, record: ResourceRecord | None
    ) -> tuple[Session, ResourceRecord]:
        """Return the session at a provider, with a new registration if that is necessary."""
        before, forgotten = self.session, None
        if before is not None and before.provider.issuer == provider.issuer:
            unknown = before.registered and is_unknown_client(self.problem)
            forgotten = before.client.client_id if unknown else None
        return self._sessions.prepare(provider, record, before, instead_of=forgotten)

    def _granted(self, session: Session) -> tuple[str, ...] | None:
        stored = self._settings.store.load(session.credential.key)
        return None if stored is None else stored.scope

    def _scope(self, session: Session, record: ResourceRecord) -> tuple[str, ...]:
        """Return the scope to request: the one of earlier logins, and what is required now."""
        settings, need, provider = self._settings, self._need, session.provider
        wanted = settings.scope if settings.scope is not None else provider.scope
        if self._is_step_up:
            granted = self._granted(session)
            before = (record.requested_scope or wanted) if granted is None else granted
            # A resource that does not say which scope it requires may mean all that it names.
            wanted = before if need.scope or need.extra else (*before, *wanted)
        else:
            wanted = (*wanted, *record.requested_scope)
        scope = tuple(dict.fromkeys([*wanted, *need.scope]))
        return with_offline_access(scope, provider) if settings.scope is None else scope

    def _check_progress(
        self, scope: tuple[str, ...], session: Session, record: ResourceRecord
    ) -> None:
        """Check that a login for more scope requests more than the token and the last login have.

        Raises:
            UnsatisfiedError: It does not.
        """
        need = self._need
        if not self._is_step_up or need.extra:
            return
        if not need.scope and set(scope) <= set(self._granted(session) or ()):
            raise UnsatisfiedError(
                "it does not say which scope, and the token has all that it names"
            )
        recent = 0 <= time.time() - record.requested_at < _REPEATED_SCOPE
        if need.scope and recent and set(need.scope) <= set(record.requested_scope):
            raise UnsatisfiedError(
                f"a login a moment ago requested {' '.join(need.scope)!r}, and the resource still "
                "rejects the token"
            )

    def _check_rate(self, record: ResourceRecord | None) -> None:
        """Check that there are not too many logins, for any reason and in any process.

        A resource could require another scope each time, or its issuer let tokens expire at once.

        Raises:
            LoginNeededError: There are too many.
        """
        if record is not None and record.wait > 0 and not self._is_explicit:
            raise LoginNeededError(
                f"There is no token for {self._settings.url}: there were {BURST} logins within "
                f"a few minutes. Another one starts in {record.wait:.0f} s at the earliest; call "
                "log_in() to log in now."
            )

    # --- The login --------------------------------------------------------------------------------

    def _log_in(self, session: Session, scope: tuple[str, ...]) -> tuple[Session, Token]:
        """Log in. Register the client again if the provider does not know it, or not its scope."""
        need, call = self._need, self._call
        registered, forgotten = session.registered_scope, None
        try:
            endpoint = session.provider.authorization_endpoint
            if session.reused_registration and endpoint and not self._is_step_up:
                # A provider shows an error page to the user of an unknown client.
                self._check_client(session)
            return session, call(session.client, scope, need.extra, session.ports)
        except (InvalidClientException, UnauthorizedClientException) as error:
            if not session.registered or not is_unknown_client(error):
                raise
            forgotten = session.client.client_id
        except InvalidScopeException:
            if not session.registered or set(scope) <= set(registered):
                raise
            registered = tuple(dict.fromkeys([*registered, *scope]))
        session = session_at(session.provider, self._settings, registered, instead_of=forgotten)
        if forgotten is None and (token := self._existing(session)) is not None:
            return session, token  # of a login after which the record could not be stored
        return session, call(session.client, scope, need.extra, session.ports)

    def _check_client(self, session: Session) -> None:
        """Check that the provider still knows the client.

        Raises:
            TokenError: It does not.
        """
        try:
            check_registration(session.client, cancel=self._call.cancel)
        except UnauthorizedClientException as error:
            if is_unknown_client(error):
                raise

    def _token_of_overtaking_process(self, before: ResourceRecord) -> Token | None:
        """Return the token if another process has logged in since this one took the lock.

        The lock expires while a machine is suspended. Both tokens are of the same user, and the
        scope in the record is that of the other login.
        """
        with contextlib.suppress(GrantwayError):  # the token of this login must still be stored
            record = self._sessions.records.read()
            if record is not None and record.requested_at > before.requested_at:
                return self._existing(self._sessions.open())
        return None

    def _record_failure(self, record: ResourceRecord, error: Exception) -> None:
        """Tell waiting processes that the login failed, so that they do not repeat it."""
        message = printable(message_of(error))
        # An earlier scope may be the reason why the provider rejects the login.
        requested = () if isinstance(error, InvalidScopeException) else record.requested_scope
        record = replace(record, failure=(secrets.token_hex(8), message), requested_scope=requested)
        with contextlib.suppress(GrantwayError):  # the error of the login is more important
            self._sessions.records.write_if_newest(record, self._fence)
