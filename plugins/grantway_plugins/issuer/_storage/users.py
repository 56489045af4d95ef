"""Users in the database, with their claims at the last login."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import bindparam
from sqlalchemy.dialects import postgresql

from grantway._processes.copies import Value

from .prepared import Cursor, Prepared
from .tables import users as table


@dataclass(frozen=True, slots=True)
class UserRecord(Value):
    """A user who logged in.

    Attributes:
        subject: The ``sub`` of the user's tokens.
        claims: Standard claims (OpenID Connect Core section 5.1), such as ``name`` and ``email``,
            as the last login reported them.
        updated_at: Time of the last login, in seconds since the epoch.
    """

    subject: str
    claims: Mapping[str, Any] = field(repr=False, hash=False)
    updated_at: float


# SQLite uses the same syntax as PostgreSQL.
_INSERT = postgresql.insert(table).values({each.name: bindparam(each.name) for each in table.c})
_SAVE = Prepared(
    _INSERT.on_conflict_do_update(
        index_elements=["subject"],
        set_={"claims": _INSERT.excluded.claims, "updated_at": _INSERT.excluded.updated_at},
    )
)
_FIND = Prepared(table.select().where(table.c.subject == bindparam("key")))


class Users:
    """Database operations on users.

    Args:
        cursor: The transaction's cursor.
    """

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor

    def save(self, user: UserRecord) -> None:
        """Store a user, or replace the claims of a known one."""
        self._cursor.change(
            _SAVE,
            {
                "subject": user.subject,
                "claims": json.dumps(dict(user.claims), separators=(",", ":")),
                "updated_at": user.updated_at,
            },
        )

    def find(self, subject: str) -> UserRecord | None:
        """Return a user; None if the user never logged in."""
        row = self._cursor.row(_FIND, {"key": subject})
        return None if row is None else UserRecord(row[0], json.loads(row[1]), row[2])
