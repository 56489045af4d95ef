"""Remembered consent in the database."""

from __future__ import annotations

import json
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import bindparam
from sqlalchemy.dialects import postgresql

from grantway._processes.copies import Value

from .prepared import Cursor, Prepared
from .tables import consents as table


@dataclass(frozen=True, slots=True)
class Consent(Value):
    """A user's consent to the requests of a client.

    Attributes:
        subject: The user.
        client_id: The client.
        scope: The scopes that the user allowed.
        resources: The resources that the user allowed (RFC 8707).
        expires_at: Expiry in seconds since the epoch.
    """

    subject: str
    client_id: str
    scope: frozenset[str]
    resources: frozenset[str]
    expires_at: float

    def covers(self, scope: tuple[str, ...], resources: tuple[str, ...], now: float) -> bool:
        """Return whether the user need not be asked about a request at a time."""
        return (
            now < self.expires_at and self.scope >= set(scope) and self.resources >= set(resources)
        )


# SQLite uses the same syntax as PostgreSQL.
_INSERT = postgresql.insert(table).values({each.name: bindparam(each.name) for each in table.c})
_SAVE = Prepared(
    _INSERT.on_conflict_do_update(
        index_elements=["subject", "client_id"],
        set_={name: _INSERT.excluded[name] for name in ("scope", "resources", "expires_at")},
    )
)
_FIND = Prepared(
    sa.select(table).where(
        table.c.subject == bindparam("user"), table.c.client_id == bindparam("client")
    )
)


class Consents:
    """Database operations on remembered consent.

    Args:
        cursor: The transaction's cursor.
    """

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor

    def save(self, consent: Consent) -> None:
        """Store consent; it replaces what is known of this user and client."""
        self._cursor.change(
            _SAVE,
            {
                "subject": consent.subject,
                "client_id": consent.client_id,
                "scope": " ".join(sorted(consent.scope)),
                "resources": json.dumps(sorted(consent.resources)) if consent.resources else None,
                "expires_at": consent.expires_at,
            },
        )

    def find(self, subject: str, client_id: str) -> Consent | None:
        """Return the consent of a user to a client, even if it has expired."""
        row = self._cursor.row(_FIND, {"user": subject, "client": client_id})
        if row is None:
            return None
        user, client, scope, resources, expires_at = row
        allowed = frozenset(json.loads(resources)) if resources else frozenset[str]()
        return Consent(user, client, frozenset(scope.split()), allowed, expires_at)
