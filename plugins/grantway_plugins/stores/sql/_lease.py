"""The lease of one key, in a SQL database."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from grantway._exceptions import StoreUnreadableError
from grantway_plugins._databases.steps import Steps
from grantway_plugins._sql.database import Statement

from ._statements import Statements


def digest(key: str) -> str:
    """Return the digest that identifies a key in the table."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


class SqlLease:
    """The lease of one row; see ``lease.Lease``."""

    def __init__(self, statements: Statements, where: str, key: str, seconds: float) -> None:
        self._statements, self._where = statements, where
        self._owner = {"digest": digest(key), "owner_id": secrets.token_hex(16)}
        self._values = {**self._owner, "lease": int(seconds * 1000)}

    def acquire(self) -> Steps[int | None]:
        """Acquire the lease; see ``lease.Lease``."""
        # Read first, so that waiting processes do not write on every attempt.
        if (yield from self._run(self._statements.busy, self._owner)):
            return None
        rows = yield from self._run(self._statements.acquire, self._values)
        return int(rows[0][0]) if rows else None

    def extend(self) -> Steps[bool]:
        """Extend the lease; see ``lease.Lease``."""
        return bool((yield from self._run(self._statements.extend, self._values)))

    def release(self) -> Steps[None]:
        """Release the lease; see ``lease.Lease``."""
        yield from self._run(self._statements.release, self._owner)

    def _run(self, statement: sa.Executable, values: Mapping[str, Any]) -> Steps[list[Any]]:
        rows, problem = yield Statement(statement, values)
        if problem:
            raise StoreUnreadableError(f"{self._where}: cannot be locked: {problem}.")
        found: list[Any] = rows.value
        return found
