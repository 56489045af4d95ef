"""The tokens of a resource, for threads and event loops."""

from __future__ import annotations

from grantway._exceptions import (
    ConnectionFailedError,
    GrantwayError,
    InvalidClientException,
    LoginNeededError,
    ResponseInvalidError,
    TokenError,
)
from grantway._processes.copies import OneProcess
from grantway._types.token import Token

from .acquisition import NeverLoggedInError
from .clients import Session
from .login_call import Login
from .need import Need, Reason
from .rejection import is_rejection
from .sessions import Sessions
from .settings import ResourceSettings
from .shared_jobs import SharedJobs

#: Errors after which the issuer or the client may have to be found again.
_REDISCOVERABLE = (
    LoginNeededError,
    InvalidClientException,
    ConnectionFailedError,
    ResponseInvalidError,
    TokenError,
)


class ResourceTokens(OneProcess):
    """Source of the tokens of a resource, and finder of its issuer.

    Args:
        settings: The program's settings.
        login: The program's login, or None.
    """

    stays = "it holds a session"

    def __init__(self, settings: ResourceSettings, login: Login | None) -> None:
        self.sessions = Sessions(settings)
        self.jobs = SharedJobs(settings, self.sessions, login)

    # --- TokenSource ------------------------------------------------------------------------------

    def token(self, timeout: float | None = None) -> Token:
        """Return a valid token; log in if necessary."""
        session = self.sessions.session
        if session is None or self.sessions.repeats_rejection(session):
            return self.jobs.wait(Need(), timeout)
        try:
            return session.credential.token(timeout)
        except _REDISCOVERABLE as error:
            need = _need_after(error, session)
        return self.jobs.wait(need, timeout)

    async def token_async(self, timeout: float | None = None) -> Token:  # noqa: ASYNC109 - as token()
        """Return a valid token without blocking the event loop."""
        session = self.sessions.session
        if session is None or self.sessions.repeats_rejection(session):
            return await self.jobs.wait_async(Need(), timeout)
        try:
            return await session.credential.token_async(timeout)
        except _REDISCOVERABLE as error:
            need = _need_after(error, session)
        return await self.jobs.wait_async(need, timeout)

    def invalidate(self, token: Token) -> None:
        """Mark a token as rejected by the resource."""
        self.sessions.reject(token)

    # --- Finder -----------------------------------------------------------------------------------

    def first_token(self) -> Token | None:
        """Return a token, or None if no user has logged in yet."""
        if self.sessions.session is None:
            try:
                return self.jobs.wait(Need(Reason.FIRST_REQUEST))
            except NeverLoggedInError:
                return None
        return self.token()

    async def first_token_async(self) -> Token | None:
        """Do the same as ``first_token`` without blocking the event loop."""
        if self.sessions.session is None:
            try:
                return await self.jobs.wait_async(Need(Reason.FIRST_REQUEST))
            except NeverLoggedInError:
                return None
        return await self.token_async()

    def record_challenge(self, challenges: str) -> None:
        """Record the challenge of a 401 response, which the next search uses."""
        self.sessions.finder.record_challenge(challenges)

    def token_of_other_issuer(self, token: Token) -> Token | None:
        """Return a token of another issuer, if the resource names another one now."""
        found = self.token()  # another caller may have found the other issuer
        need = Need(Reason.REJECTED, (token.access_token,))
        if found.access_token == token.access_token:
            found = self.jobs.wait(need)
        return None if found.access_token == token.access_token else found

    async def token_of_other_issuer_async(self, token: Token) -> Token | None:
        """Do the same as ``token_of_other_issuer`` without blocking the event loop."""
        found = await self.token_async()
        need = Need(Reason.REJECTED, (token.access_token,))
        if found.access_token == token.access_token:
            found = await self.jobs.wait_async(need)
        return None if found.access_token == token.access_token else found


def _need_after(error: GrantwayError, session: Session) -> Need:
    """Return what is needed after an error of a session's credential, or raise the error."""
    if isinstance(error, LoginNeededError) or is_rejection(error):
        return Need()
    if isinstance(error, TokenError) and not isinstance(error, InvalidClientException):
        raise error
    if isinstance(error, InvalidClientException) and not session.registered:
        raise error
    return Need(failure=error, failed_client=session.client.client_id)
