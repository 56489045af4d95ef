"""Signing keys in the database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, field, fields
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam

from grantway._types.quantity import finite

from .prepared import Cursor, Prepared
from .tables import form_key, signing_keys as table


@dataclass(frozen=True, slots=True)
class SigningKeyRow:
    """A signing key, whose private half is encrypted.

    Times are in seconds since the epoch. ``expires_at``, after which the key is not published, is
    None until a newer key replaces it.
    """

    kid: str
    algorithm: str
    key: bytes = field(repr=False)
    created_at: float
    signs_from: float
    expires_at: float | None


#: Maximum of a time, in the year 5138. Later ones are damaged.
_MOST_TIME = 1e11
_NAMES = tuple(each.name for each in fields(SigningKeyRow))
_IS_NEWEST = table.c.expires_at.is_(None)
_LIVE = Prepared(
    sa.select(*(table.c[name] for name in _NAMES))
    .where(sa.or_(_IS_NEWEST, table.c.expires_at > bindparam("now")))
    .order_by(table.c.created_at.desc(), table.c.algorithm, table.c.kid)
)
# Any row that exists in every database will do. SQLite ignores it: its transaction has locked the
# whole database.
_LOCK = Prepared(sa.select(form_key.c.key).with_for_update())
_TRY_LOCK = Prepared(sa.select(form_key.c.key).with_for_update(skip_locked=True))
_ADD = Prepared(sa.insert(table).values({name: bindparam(name) for name in _NAMES}))
_RETIRE = Prepared(
    sa.update(table)
    .where(table.c.algorithm == bindparam("of"), _IS_NEWEST)
    .values(expires_at=bindparam("until", type_=sa.Double()))
)
_ROTATE = Prepared(
    sa.update(table)
    .where(_IS_NEWEST, table.c.signs_from <= bindparam("now"))
    .values(signs_from=bindparam("epoch", type_=sa.Double()))
)
_REMOVE = Prepared(sa.delete(table).where(table.c.kid == bindparam("id")))


class SigningKeyRows:
    """The signing keys of a transaction.

    Args:
        cursor: The transaction's cursor.
    """

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor

    def live(self, now: float) -> tuple[SigningKeyRow, ...]:
        """Return the keys that have not expired, the newest first."""
        return tuple(_row_of(columns) for columns in self._cursor.rows(_LIVE, {"now": now}))

    def lock(self, *, wait: bool) -> bool:
        """Keep other issuers from generating keys until the end of the transaction.

        Args:
            wait: Whether to wait for another issuer that generates keys.

        Returns:
            False if another issuer generates keys, and ``wait`` is False.
        """
        return self._cursor.row(_LOCK if wait else _TRY_LOCK, {}) is not None

    def add(self, key: SigningKeyRow) -> None:
        """Store a key."""
        self._cursor.change(_ADD, dict(zip(_NAMES, astuple(key), strict=True)))

    def retire(self, algorithm: str, expires_at: float) -> None:
        """Set the expiry of the newest key of an algorithm."""
        self._cursor.change(_RETIRE, {"of": algorithm, "until": expires_at})

    def rotate(self, now: float) -> int:
        """Make the newest keys due, so that the issuers replace them; return their number.

        A key that does not sign yet is left alone, because it is a replacement.
        """
        # A key is due a certain time after it began to sign.
        return self._cursor.change(_ROTATE, {"now": now, "epoch": 0.0})

    def remove(self, kid: str) -> bool:
        """Delete a key; return False if there is none with this ID."""
        return self._cursor.change(_REMOVE, {"id": kid}) == 1


def _row_of(columns: Sequence[Any]) -> SigningKeyRow:
    """Return a key. If a column is damaged, the key is empty, so that it cannot be used.

    A damaged column of SQLite may contain any type.
    """
    kid, algorithm, key, *times = columns
    if isinstance(key, bytes | memoryview) and all(
        each is None or _is_time(each) for each in times
    ):
        return SigningKeyRow(kid, algorithm, bytes(key), *times)
    return SigningKeyRow(kid, algorithm, b"", 0.0, 0.0, None)


def _is_time(value: object) -> bool:
    seconds = finite(value)
    return seconds is not None and 0 <= seconds < _MOST_TIME
