"""Small records that plugins keep in the issuer's database."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam
from sqlalchemy.dialects import postgresql

from grantway._processes.copies import OneProcess
from grantway._types.quantity import finite
from grantway_plugins.issuer._decisions.randomness import digest
from grantway_plugins.issuer._extensions.errors import InvalidArgumentError

from .prepared import Cursor, Prepared
from .tables import plugin_records as table

#: Maximum length of a key, in characters.
MAX_KEY = 1024
#: Maximum size of a value as JSON, in bytes.
MAX_VALUE = 16_384

_KEY = bindparam("key", type_=sa.LargeBinary())
_NOW: sa.BindParameter[float] = bindparam("now", type_=sa.Double())
_NEW = {
    "digest": _KEY,
    "value": bindparam("value", type_=sa.Text()),
    "expires_at": bindparam("until", type_=sa.Double()),
}
# SQLite uses the same syntax as PostgreSQL.
_INSERT = postgresql.insert(table).values(_NEW)
_OVERWRITE = {"value": _INSERT.excluded.value, "expires_at": _INSERT.excluded.expires_at}
_PUT = Prepared(_INSERT.on_conflict_do_update(index_elements=["digest"], set_=_OVERWRITE))
_ADD = Prepared(
    _INSERT.on_conflict_do_update(
        index_elements=["digest"], set_=_OVERWRITE, where=table.c.expires_at <= _NOW
    )
)
_IS_LIVE = sa.and_(table.c.digest == _KEY, table.c.expires_at > _NOW)
# On databases with several writers, the row stays locked until the commit, so that a change based
# on the value does not overwrite a concurrent one.
_GET = Prepared(sa.select(table.c.value).where(_IS_LIVE).with_for_update())
_TAKE = Prepared(sa.delete(table).where(_IS_LIVE).returning(table.c.value))


class Records(OneProcess):
    """The records of one namespace, which expire.

    Keys are stored as digests, so a key may be a secret, such as a nonce or a code. Values are
    stored as they are: do not put a secret into a value.

    Args:
        cursor: The transaction's cursor.
        namespace: Name of the distribution whose records these are.
        clock: Returns seconds since the epoch.
    """

    stays = "it belongs to one transaction of the database"

    def __init__(self, cursor: Cursor, namespace: str, clock: Callable[[], float]) -> None:
        if not isinstance(namespace, str) or not namespace.strip():
            raise InvalidArgumentError(
                "the namespace of records must be the name of your distribution"
            )
        self._cursor = cursor
        self._namespace = namespace
        self._clock = clock

    def put(self, key: str, value: Mapping[str, Any], *, until: float) -> None:
        """Store a record, and replace the one with the same key.

        Args:
            key: The key, of at most 1024 characters.
            value: A JSON object of at most 16 KiB, without secrets.
            until: Expiry in seconds since the epoch.

        Raises:
            ValueError: an argument is invalid or too large. The message does not contain it.
        """
        self._cursor.change(_PUT, self._new(key, value, until))

    def add(self, key: str, value: Mapping[str, Any], *, until: float) -> bool:
        """Store a record unless there is one with the same key; return whether it was stored.

        Of concurrent calls with the same key, on any number of issuers, one returns True.
        """
        return self._cursor.change(_ADD, {**self._new(key, value, until), **self._now}) == 1

    def get(self, key: str) -> dict[str, Any] | None:
        """Return the value of a record; None if there is none or it has expired.

        The record is locked until the end of the transaction: a value that is changed and stored
        with ``put`` in the same transaction overwrites no concurrent change.
        """
        return self._value(_GET, key)

    def take(self, key: str) -> dict[str, Any] | None:
        """Delete a record and return its value; None if there is none or it has expired.

        Of concurrent calls with the same key, on any number of issuers, one returns the value.
        """
        return self._value(_TAKE, key)

    def delete(self, key: str) -> None:
        """Delete a record if it exists."""
        self.take(key)

    @property
    def _now(self) -> dict[str, float]:
        return {"now": self._clock()}

    def _value(self, statement: Prepared, key: str) -> dict[str, Any] | None:
        # Keys to look up come from requests, so an invalid one is not an error.
        if not _is_key(key):
            return None
        rows = self._cursor.rows(statement, {"key": self._digest(key), **self._now})
        value: dict[str, Any] | None = json.loads(rows[0][0]) if rows else None
        return value

    def _new(self, key: str, value: Mapping[str, Any], until: float) -> dict[str, Any]:
        if not _is_key(key):
            raise InvalidArgumentError(
                f"the key of a record must be a string of 1 to {MAX_KEY} characters"
            )
        if not isinstance(value, Mapping):
            raise InvalidArgumentError("the value of a record must be a mapping")
        try:
            encoded = json.dumps(dict(value), allow_nan=False, separators=(",", ":"))
        except (TypeError, ValueError, RecursionError):
            encoded = None
        if encoded is None:  # raised here, because the original error may contain the value
            raise InvalidArgumentError("the value of a record must be a JSON object")
        if len(encoded) > MAX_VALUE:
            raise InvalidArgumentError(
                f"the value of a record must be at most {MAX_VALUE} bytes of JSON"
            )
        return {"key": self._digest(key), "value": encoded, "until": _time(until)}

    def _digest(self, key: str) -> bytes:
        return digest(json.dumps([self._namespace, key]))

    def __repr__(self) -> str:
        return f"Records({self._namespace!r})"


def _time(until: object) -> float:
    seconds = finite(until)
    if seconds is None:
        raise InvalidArgumentError("until must be the record's expiry in seconds since the epoch")
    return seconds


def _is_key(key: object) -> bool:
    return isinstance(key, str) and 0 < len(key) <= MAX_KEY
