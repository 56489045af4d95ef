"""Explanations of database errors, with remedies for the operator."""

from __future__ import annotations

import sqlite3
from typing import Literal, NamedTuple

from sqlalchemy.exc import DBAPIError, TimeoutError as PoolTimeout

Kind = Literal["busy", "corrupt", "read_only", "full", "unreachable", "other"]


class Failure(NamedTuple):
    """A database error.

    Attributes:
        kind: What went wrong.
        text: The same in words, with a remedy. Its subject is the database.
    """

    kind: Kind
    text: str


_LOCKED = Failure("busy", "it is locked by another process; stop that process, or retry later")
_DAMAGED = Failure(
    "corrupt",
    "it is damaged or not an SQLite database; restore the file from a backup, or use another file",
)
_READ_ONLY_FILE = Failure(
    "read_only",
    "it cannot be opened for writing; give this user write access to the file and its folder, or "
    "use another file",
)
_FULL = Failure(
    "full",
    "its disk is full or failing, or the file has reached a size limit; free some disk space",
)
_LOGIN_REJECTED = Failure(
    "unreachable", "it rejected the user name or password; correct them in the URL"
)
_NO_DATABASE = Failure(
    "unreachable", "the database does not exist; create it, or correct its name in the URL"
)
_CHANGING = Failure("unreachable", "it is starting or stopping; retry in a moment")
_OVERLOADED = Failure("other", "it is out of memory or connections; see its log")

#: SQLite's primary result code -> the failure.
_CODES = {
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_READONLY: _READ_ONLY_FILE,
    sqlite3.SQLITE_CANTOPEN: _READ_ONLY_FILE,
    sqlite3.SQLITE_PERM: _READ_ONLY_FILE,
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_IOERR: _FULL,
}
#: PostgreSQL's SQLSTATE or its prefix -> the failure; the longest match wins.
_STATES = {
    "08": Failure("unreachable", "it cannot be reached; check that it is running, and the URL"),
    "25006": Failure(
        "read_only", "it is read-only, perhaps a standby; use the URL of the primary server"
    ),
    "28": _LOGIN_REJECTED,
    "3D": _NO_DATABASE,
    "42501": Failure(
        "other",
        "this user lacks permissions; grant it SELECT, INSERT, UPDATE and DELETE on the tables, "
        "or CREATE on the schema if they do not exist yet. Only their owner can upgrade them",
    ),
    "42P01": Failure("other", "its tables were removed; restart this program to create them again"),
    "53": _OVERLOADED,
    "53100": Failure("full", "the disk of its server is full; free some disk space"),
    "55P03": _LOCKED,
    "57014": Failure("other", "it did not respond in time; find out what blocks it"),
    "57P": _CHANGING,
}
#: Text of connection errors, which have no SQLSTATE -> the failure.
_WORDS = {
    "password authentication failed": _LOGIN_REJECTED,
    "no password supplied": _LOGIN_REJECTED,
    "pg_hba.conf": _LOGIN_REJECTED,
    'role "': _LOGIN_REJECTED,
    "does not exist": _NO_DATABASE,
    "too many": _OVERLOADED,
    "starting up": _CHANGING,
    "shutting down": _CHANGING,
}
#: Classes of drivers' connection errors, which have no SQLSTATE.
_CONNECTION_ERRORS = {"ConnectionTimeout", "InterfaceError", "OperationalError"}


def explain(error: Exception) -> Failure:
    """Return the meaning of an error of a database, its driver or its file.

    The text does not quote the driver's message, which may contain values.
    """
    if isinstance(error, PoolTimeout):
        return Failure(
            "other", "all connections were in use for too long; raise the option connections"
        )
    if isinstance(error, OSError):
        return Failure(
            "read_only", f"the file cannot be created ({error.strerror}); use another file"
        )
    cause = error.orig if isinstance(error, DBAPIError) else error
    code = getattr(cause, "sqlite_errorcode", None)
    if code is not None:
        name = getattr(cause, "sqlite_errorname", "")
        unknown = Failure("other", f"SQLite failed with {name}; check the disk and the file")
        return _CODES.get(code & 0xFF, unknown)
    state = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
    if state:
        found = next((_STATES[state[:n]] for n in (5, 3, 2) if state[:n] in _STATES), None)
        return found or Failure("other", f"it failed with SQLSTATE {state}; see its log")
    kind = type(cause).__name__
    if kind not in _CONNECTION_ERRORS:
        return Failure("other", f"it failed with {kind}; see its log")
    message = str(cause)
    return next((found for words, found in _WORDS.items() if words in message), _STATES["08"])


def is_lock_conflict(error: Exception) -> bool:
    """Return whether PostgreSQL ended a transaction because of a deadlock or a lock timeout.

    Args:
        error: An error of SQLAlchemy or of the driver.
    """
    cause = error.orig if isinstance(error, DBAPIError) else error
    return getattr(cause, "sqlstate", None) in {"40P01", "55P03"}
