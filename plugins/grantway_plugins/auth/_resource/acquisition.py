"""Get a token that meets a need: a stored or refreshed one, or that of a login."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from grantway._exceptions import (
    ConnectionFailedError,
    GrantwayError,
    InvalidClientException,
    LoginNeededError,
    ResponseInvalidError,
)
from grantway._types.token import Token

from .clients import Session, session_at
from .login import ResourceLogin
from .login_call import LoginCall
from .need import Need, Reason
from .record import ResourceRecord, same_issuer_and_resource
from .rejection import is_rejection

if TYPE_CHECKING:
    from grantway._requests.provider import Provider

    from .sessions import Sessions


class NeverLoggedInError(LoginNeededError):
    """No user has logged in, so the resource may be requested without a token."""


def acquire_token(
    sessions: Sessions, need: Need, call: LoginCall | None, cancel: threading.Event
) -> Token:
    """Return a token that meets a need: a stored or refreshed one, or that of a login.

    Args:
        sessions: The sessions of the resource.
        need: Why a token is needed.
        call: Calls the program's login; None if there is none, or none is allowed now.
        cancel: Set when no caller waits any more.

    Raises:
        NeverLoggedInError: The need is that of a first request, and no user has logged in.
        LoginNeededError: Only a login gets a token, and ``call`` is None.
        GrantwayError: The issuer was not found, or the login failed.
    """
    record = sessions.records.read()
    sessions.save_unsaved_token(record)
    known_failure = record.failure[0] if record else ""
    if need.reason is Reason.FIRST_REQUEST and (record is None or not record.requested_at):
        raise NeverLoggedInError(f"No user has logged in to {sessions.settings.url}.")
    before, session = sessions.session, sessions.session_of(record)
    provider: Provider | None = None
    problem: GrantwayError | None = None
    if session is not None:
        if isinstance(need.failure, InvalidClientException):
            if session.client.client_id == need.failed_client:
                problem = need.failure
                sessions.record_rejection(session, problem)
            else:
                need = replace(need, failure=None)  # another caller has registered again
        if problem is None:
            session, token, problem = _current(sessions, session, need, cancel)
            if token is not None:
                return token
        # Otherwise another process has found the other issuer, and may be logging in there.
        if need.reason is Reason.REJECTED and (
            before is None or same_issuer_and_resource(before.provider, session.provider)
        ):
            provider = sessions.finder.other_issuer(session, cancel)
            if provider is None:
                return Token(need.presented[-1])
    if call is None:
        raise _login_needed(sessions.settings.url, session, provider, problem)
    with sessions.records.lock(cancel) as fence:
        login = ResourceLogin(sessions, need, call, fence)
        login.session, login.provider, login.problem = session, provider, problem
        return login.token(known_failure)


def _current(
    sessions: Sessions, session: Session, need: Need, cancel: threading.Event
) -> tuple[Session, Token | None, GrantwayError | None]:
    """Return the session, its token if it meets the need, and why there is none.

    If the provider cannot be reached, its endpoints may have moved.
    """
    failure = need.failure
    if failure is None:
        try:
            return session, *sessions.existing_token(session, need)
        except (ConnectionFailedError, ResponseInvalidError) as error:
            failure = error
    session = _with_new_endpoints(sessions, session, failure, cancel)
    return session, *sessions.existing_token(session, need)


def _with_new_endpoints(
    sessions: Sessions, session: Session, failure: Exception, cancel: threading.Event
) -> Session:
    """Return the session with the issuer's present endpoints, if they have changed.

    Raises:
        Exception: They have not; this is the given failure.
    """
    found = sessions.finder.other_endpoints(session, cancel)
    if found is None:
        raise failure
    with sessions.records.lock(cancel) as fence:
        record = sessions.records.read()
        if record is None:
            record = ResourceRecord(found, registered_scope=session.registered_scope)
        if not same_issuer_and_resource(record.provider, session.provider):
            return sessions.session_of(record) or session  # another process has moved meanwhile
        made = session_at(found, sessions.settings, record.registered_scope)
        sessions.use(made, replace(record, provider=found), fence)
    return made


def _login_needed(
    url: str, session: Session | None, provider: Provider | None, problem: GrantwayError | None
) -> LoginNeededError:
    if provider is not None:
        cause = f"its issuer is now {provider.issuer}, where no user has logged in."
    elif problem is not None and session is not None and problem.__cause__ is not None:
        cause = f"{session.provider.issuer} rejected the refresh token."
    elif isinstance(problem, InvalidClientException):
        cause = "the authorization server no longer knows the client."
    elif problem is not None and is_rejection(problem):
        cause = f"the refresh token was rejected: {problem}"
    else:
        cause = "no user has logged in with these settings and this store."
    error = LoginNeededError(
        f"There is no token for {url}: {cause} Pass login=, such as "
        "login=grantway_grants.authorization_code.login, or log in with client() and pass the "
        "token to accept()."
    )
    error.__cause__ = problem
    return error
