"""Connect an account with the authorization code grant."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import TYPE_CHECKING

from grantway._exceptions import (
    AccessDeniedException,
    FlowError,
    GrantwayError,
    InvalidGrantException,
    OutcomeUnknownError,
    RedirectMismatchError,
    StoreError,
    TokenError,
)
from grantway._types.token import Token
from grantway_grants.authorization_code import AuthorizationCodeFlow, AuthorizationRequest

from .attempts import Attempt, Attempts

if TYPE_CHECKING:
    from .device_logins import DeviceLogin, DeviceLogins
    from .outcomes import Connected
    from .provider import ConnectionProvider
    from .service import Connections
    from .user import User

#: Times that a new token is saved, and the pause in between in seconds.
_SAVES, _PAUSE = 3, 1.0

_CODE = re.compile(r"[a-z_]{1,40}")

_log = logging.getLogger("grantway.gateway")


class ConnectError(Exception):
    """An account could not be connected.

    Attributes:
        message: What happened and what the user can do.
        status: HTTP status of the page.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.message, self.status = message, status


class Connecting:
    """Connects accounts with the authorization code grant.

    Args:
        connections: The connections.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._attempts = Attempts(connections)

    async def begin(self, session_id: str, user: User, at: ConnectionProvider) -> str:
        """Return the URL at which a user logs in at a provider.

        Raises:
            ConnectError: The provider cannot be used.
            StoreError: The login could not be saved.
        """
        uri = self._connections.settings.callback(at.name)
        try:
            begun = await _flow(at).begin_async(uri)
        except GrantwayError as error:
            _log.warning("A login at %s could not begin: %s", at.name, error)
            failure = ConnectError(unreachable(at), 502)
        else:
            attempt = Attempt(user.id, begun.redirect_uri, begun.state, begun.code_verifier)
            await self._attempts.keep(session_id, at.identity, attempt)
            return begun.url
        raise failure

    async def finish(
        self, session_id: str, user: User, at: ConnectionProvider, query: str, state: str | None
    ) -> Connected:
        """Connect the account of a redirect to the user of the session.

        Args:
            session_id: The browser's session.
            user: The user who is logged in to the session.
            at: The provider to whose redirect URI the browser was sent.
            query: Parameters of the redirect.
            state: Their ``state``, or None.

        Raises:
            ConnectError: The account was not connected.
        """
        attempt = await self._attempts.find(session_id, at.identity)
        if attempt is None or attempt.user != user.id:
            raise ConnectError(_NOT_STARTED, 400)
        # Not taken: otherwise any link could end a login that the user has started.
        if state is not None and not attempt.has_state(state):
            raise ConnectError(_OTHER, 400)
        if state is not None and not await self._attempts.take(session_id, at.identity, attempt):
            raise ConnectError(_NOT_STARTED, 400)
        token = await self._redeem(at, attempt, query)
        return await self._save(user, at, token)

    async def _redeem(self, at: ConnectionProvider, attempt: Attempt, query: str) -> Token:
        request = AuthorizationRequest(
            "", attempt.redirect_uri, attempt.state, attempt.code_verifier
        )
        try:
            return await _flow(at).finish_async(request, f"?{query}")
        except GrantwayError as error:
            _log.warning("A login at %s failed: %s", at.name, error.code)
            failure = _failure(at, error)
        raise failure

    async def _save(self, user: User, at: ConnectionProvider, token: Token) -> Connected:
        for left in reversed(range(_SAVES)):
            try:
                return await self._connections.connected(user, at.name, token)
            except StoreError as error:
                _log.error("A token of %s could not be saved: %s", at.name, error)
                if left:
                    await asyncio.sleep(_PAUSE)
        raise ConnectError(
            f"{at.title} allowed the access, but this site could not save it. Your earlier "
            "connection, if there was one, is unchanged. Connect again in a few minutes.",
            503,
        )


async def begin_device(devices: DeviceLogins, user: User, at: ConnectionProvider) -> DeviceLogin:
    """Begin a login with a device code.

    Raises:
        ConnectError: The provider cannot be used.
        StoreError: The login could not be saved.
    """
    try:
        return await devices.begin(user, at)
    except StoreError:
        raise
    except GrantwayError as error:
        _log.warning("A login at %s could not begin: %s", at.name, error)
    raise ConnectError(unreachable(at), 502)


_NOT_STARTED = (
    "This login was finished already, took too long, or was started in another browser or by "
    "another user. Nothing was connected. Start again on this page."
)
_OTHER = (
    "This address belongs to another login: perhaps one in another tab, or one of another "
    "person. Nothing was connected. Start again on this page."
)


def _flow(at: ConnectionProvider) -> AuthorizationCodeFlow:
    return AuthorizationCodeFlow(at.client, scope=at.scope, extra=at.extra, resource=at.resource)


def unreachable(at: ConnectionProvider) -> str:
    """Return the message for a provider that does not respond."""
    return (
        f"{at.title} cannot be reached at the moment. Nothing has changed. Try again in a few "
        "minutes; if it still fails, tell the operator of this site."
    )


def _failure(at: ConnectionProvider, error: GrantwayError) -> ConnectError:
    if isinstance(error, AccessDeniedException):
        return ConnectError(
            f"{at.title} reports that the access was denied. Nothing has changed. Try again if you "
            "did not intend this.",
            403,
        )
    if isinstance(error, (RedirectMismatchError, FlowError)):
        return ConnectError(
            f"The response does not belong to your login at {at.title}. Nothing was connected. "
            "Start again on this page; if it still fails, tell the operator of this site.",
            400,
        )
    if isinstance(error, InvalidGrantException):
        return ConnectError(
            f"{at.title} does not accept this login any more: it was finished already, or took too "
            "long. Start again on this page.",
            400,
        )
    if isinstance(error, OutcomeUnknownError):
        return ConnectError(
            f"The response of {at.title} was lost, so it may list this site among the connected "
            "applications although nothing is connected here. Connect again, which replaces that "
            "entry, or remove it there.",
            502,
        )
    if isinstance(error, TokenError):
        # Anyone can make up an address with another text in ``error``.
        code = f" ({error.error})" if _CODE.fullmatch(error.error) else ""
        return ConnectError(
            f"{at.title} rejected the login{code}. Nothing has changed. Try again; if it "
            "still fails, tell the operator of this site.",
            502,
        )
    return ConnectError(unreachable(at), 502)
