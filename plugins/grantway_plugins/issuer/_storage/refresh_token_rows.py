"""Refresh tokens in the database."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from grantway_plugins.issuer._decisions.randomness import digests_of_family

from . import statements as sql
from .prepared import Cursor
from .records import LoginDetails, RefreshTokenRecord, TokenFamily


class RefreshTokenRows:
    """Database operations on refresh tokens.

    New and replaced tokens are collected and written by ``flush``. Other processes cannot change a
    token that was read until the transaction ends: SQLite's database and PostgreSQL's row are
    locked.

    Args:
        cursor: The transaction's cursor.
    """

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self._read: dict[bytes, Any] = {}
        self._unused: set[bytes] = set()
        self._spent: dict[bytes, float] = {}
        self._new: list[dict[str, Any]] = []

    def prefetch(self, digests: Iterable[bytes]) -> None:
        """Read tokens with one query, for a database to which each query takes a round trip."""
        for digest, *row in self._cursor.rows(sql.REFRESH_TOKENS, {"keys": sorted(set(digests))}):
            self._read[bytes(digest)] = row

    def forget(self) -> None:
        """Read tokens again, because their families have changed."""
        self._read.clear()

    def find(self, digest: bytes) -> RefreshTokenRecord | None:
        """Return the token with this digest, even if it has been replaced."""
        row = self._read.get(digest) or self._cursor.row(sql.REFRESH_TOKEN, {"key": digest})
        if row is None:
            return None
        used_at = self._spent.get(digest, row[0])
        if used_at is None:
            self._unused.add(digest)
        return RefreshTokenRecord(digest, used_at, family_of(row[1:]))

    def spend(self, digest: bytes, now: float) -> bool:
        """Mark a token as replaced.

        Returns:
            False if it has been replaced already, or was not read in this transaction.
        """
        if digest not in self._unused:
            return False
        self._unused.remove(digest)
        self._spent[digest] = now
        return True

    def last_spent(self, family_id: str) -> float:
        """Return the latest time at which a token of the family was replaced, or 0."""
        low, high = digests_of_family(family_id)
        row = self._cursor.row(sql.LAST_SPENT, {"low": low, "high": high})
        here = (at for digest, at in self._spent.items() if low <= digest <= high)
        return max(0.0, row[0] or 0.0, *here)

    def add(self, digest: bytes, family: TokenFamily) -> None:
        """Add a token to the tokens to store."""
        self._new.append({"digest": digest, "family_id": family.family_id})

    def flush(self) -> None:
        """Write the new and replaced tokens."""
        if self._spent:
            spent = [{"key": digest, "now": now} for digest, now in self._spent.items()]
            self._cursor.change_all(sql.SPEND_REFRESH_TOKEN, spent)
            self._spent = {}
        if self._new:
            self._cursor.change_all(sql.ADD_REFRESH_TOKEN, self._new)
            self._new = []


def family_of(row: Any) -> TokenFamily:
    """Return the family in the columns of a row."""
    family_id, client_id, subject, scope, expires_at, revoked_at, origin, details = row
    return TokenFamily(
        family_id=family_id,
        client_id=client_id,
        subject=subject,
        scope=tuple(scope.split()),
        expires_at=expires_at,
        revoked=revoked_at is not None,
        origin=origin,
        details=LoginDetails.from_json(details),
    )
