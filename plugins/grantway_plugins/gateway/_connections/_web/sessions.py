"""Browser sessions of the pages, and the users who are logged in to them."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from grantway._exceptions import StoreUnreadableError
from grantway_plugins.gateway._connections.user import User
from grantway_plugins.server._pages.session import Session, Sessions

if TYPE_CHECKING:
    from grantway_plugins.gateway._connections.service import Connections

_NAME = "grantway_connect"
_BYTES = 32


@dataclass(frozen=True, slots=True)
class BoundSession(Session):
    """A session of the cookies ``secret`` and ``binding``; neither is enough alone.

    Only the pages receive ``secret``, because its cookie has their path: upstream servers cannot
    take over the session. Only this host can set ``binding``, because its cookie has the prefix
    ``__Host-``: a neighbouring host name cannot give a browser a session of another user.

    Attributes:
        secret: Value of the session cookie.
        binding: Value of the binding cookie.
    """

    secret: str = field(default="", repr=False)
    binding: str = field(default="", repr=False)


class BrowserSessions(Sessions):
    """Creates the sessions, and remembers who is logged in.

    Args:
        connections: The connections.
        key: Key from which the keys of CSRF tokens are derived.
        clock: Returns seconds since the epoch.
    """

    def __init__(self, connections: Connections, key: bytes, *, clock: Callable[[], float]) -> None:
        url = connections.settings.base
        super().__init__(key, clock=clock, url=url, name=_NAME)
        self._records, self._sealed = connections.records, connections.sealed
        self._seconds = connections.settings.session_seconds
        self._now = clock
        port = urlsplit(url).port
        prefix = "__Host-" if self._secure else ""
        self._binding = f"{prefix}{_NAME}_binding{f'_{port}' if port else ''}"

    def of(self, request: Request) -> BoundSession:
        """Return the session of a request, or a new one."""
        given, binding = super().of(request), request.cookies.get(self._binding, "")
        if not _is_id(binding):
            return self._bound(given.id, secrets.token_hex(_BYTES), given.keys, new=True)
        return self._bound(given.id, binding, given.keys, new=given.new)

    def renewed(self, session: BoundSession) -> BoundSession:
        """Return a new session for a login, because its cookie may be known from before."""
        return self._bound(secrets.token_hex(_BYTES), session.binding, session.keys, new=True)

    def set_cookie(self, session: Session, response: Response) -> None:
        """Set both cookies of a new session."""
        if not session.new or not isinstance(session, BoundSession):
            return
        super().set_cookie(replace(session, id=session.secret), response)
        response.set_cookie(
            self._binding,
            session.binding,
            httponly=True,
            samesite="lax",
            secure=self._secure,
            path="/",
        )

    async def user(self, session: BoundSession) -> User | None:
        """Return the user who is logged in, or None."""
        if session.new:
            return None
        kept = await self._records.kept(_key(session), self._now())
        if kept is None:
            return None
        try:
            found = self._sealed.open(kept, _key(session))
        except StoreUnreadableError:  # its key was removed
            return None
        return User(found["issuer"], found["subject"], found["name"])

    async def log_in(self, session: BoundSession, user: User) -> BoundSession:
        """Return a new session in which a user is logged in."""
        await self.log_out(session)
        made = self.renewed(session)
        value = {"issuer": user.issuer, "subject": user.subject, "name": user.name}
        sealed = self._sealed.seal(value, _key(made))
        await self._records.keep(_key(made), sealed, self._now() + self._seconds)
        return made

    async def log_out(self, session: BoundSession) -> None:
        """End a session."""
        if not session.new:
            await self._records.take(_key(session), self._now())

    def _bound(
        self, secret: str, binding: str, keys: tuple[bytes, ...], *, new: bool
    ) -> BoundSession:
        id_ = hashlib.sha256(f"{binding} {secret}".encode()).hexdigest()
        return BoundSession(id_, keys, new, secret, binding)


def _is_id(value: str) -> bool:
    return len(value) == 2 * _BYTES and value.isascii() and value.isalnum()


def _key(session: BoundSession) -> str:
    """Return the key of a session's user. Read access to the database reveals no session."""
    return f"session {hashlib.sha256(session.id.encode()).hexdigest()}"
