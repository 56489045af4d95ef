"""Sessions of logged-in users in the database."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam

from grantway._processes.copies import Value

from .prepared import Cursor, Prepared
from .tables import sessions as table


@dataclass(frozen=True, slots=True)
class LoginSession(Value):
    """The session of a logged-in user in one browser.

    Attributes:
        digest: Digest of the cookie.
        session_id: Identifier of the session, as in the ``sid`` claim; not secret.
        subject: The user.
        auth_time: Time of the user's authentication, in seconds since the epoch.
        used_at: Time of the last use, which is updated at most once a minute.
        expires_at: End of the session, in seconds since the epoch, however often it is used.
        details: About the login, without tokens: ``name``, which pages show, and ``attempt``, the
            digest of the attempt whose request has not been answered yet.
    """

    digest: bytes = field(repr=False)
    session_id: str
    subject: str
    auth_time: float
    used_at: float
    expires_at: float
    details: Mapping[str, Any] = field(default_factory=dict, hash=False)


_OF_BROWSER = table.c.digest == bindparam("key", type_=sa.LargeBinary())
_ADD = Prepared(sa.insert(table).values({each.name: bindparam(each.name) for each in table.c}))
_FIND = Prepared(sa.select(table).where(_OF_BROWSER))
_TOUCH = Prepared(
    sa.update(table).where(_OF_BROWSER).values(used_at=bindparam("now", type_=sa.Double()))
)
_SET_DETAILS = Prepared(
    sa.update(table).where(_OF_BROWSER).values(details=bindparam("described", type_=sa.Text()))
)
_REMOVE = Prepared(sa.delete(table).where(_OF_BROWSER))
_OF_USER = Prepared(
    sa.select(table.c.digest)
    .where(table.c.subject == bindparam("subject"))
    .order_by(table.c.used_at.desc())
)


class Sessions:
    """Database operations on sessions.

    Args:
        cursor: The transaction's cursor.
    """

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor

    def add(self, session: LoginSession, *, most: int) -> None:
        """Store a session, and end the user's least recently used ones above the maximum.

        Args:
            session: The new session.
            most: Maximum number of sessions of the user, including the new one.
        """
        others = self._cursor.rows(_OF_USER, {"subject": session.subject})
        for (digest,) in others[max(0, most - 1) :]:
            self.remove(bytes(digest))
        self._cursor.change(
            _ADD,
            {
                "digest": session.digest,
                "session_id": session.session_id,
                "subject": session.subject,
                "auth_time": session.auth_time,
                "used_at": session.used_at,
                "expires_at": session.expires_at,
                "details": _encoded(session.details),
            },
        )

    def find(self, digest: bytes) -> LoginSession | None:
        """Return the session with this digest, even if it has expired."""
        row = self._cursor.row(_FIND, {"key": digest})
        if row is None:
            return None
        key, session_id, subject, auth_time, used_at, expires_at, details = row
        return LoginSession(
            digest=bytes(key),
            session_id=session_id,
            subject=subject,
            auth_time=auth_time,
            used_at=used_at,
            expires_at=expires_at,
            details=json.loads(details) if details else {},
        )

    def touch(self, digest: bytes, now: float) -> None:
        """Record a use."""
        self._cursor.change(_TOUCH, {"key": digest, "now": now})

    def set_details(self, digest: bytes, details: Mapping[str, Any]) -> None:
        """Replace the details."""
        self._cursor.change(_SET_DETAILS, {"key": digest, "described": _encoded(details)})

    def remove(self, digest: bytes) -> bool:
        """End a session; return False if it has ended already."""
        return self._cursor.change(_REMOVE, {"key": digest}) == 1


def _encoded(details: Mapping[str, Any]) -> str:
    return json.dumps(dict(details), separators=(",", ":"))
