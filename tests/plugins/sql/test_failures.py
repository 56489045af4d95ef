"""Tests of explanations of errors that the tests of the issuer and the store do not provoke."""

from __future__ import annotations

import errno
import sqlite3

import pytest
from sqlalchemy.exc import DBAPIError, TimeoutError as PoolTimeout

from grantway_plugins._sql.failures import explain


class OperationalError(Exception):
    """An error of a driver, like psycopg's class of this name."""

    def __init__(self, message: str, sqlstate: str | None = None) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class DataError(OperationalError):
    """An error of a driver that is not about the connection."""


def sqlite_error(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("secret")
    error.sqlite_errorcode, error.sqlite_errorname = code, "SQLITE_NAME"
    return error


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (OperationalError("secret", "08006"), "unreachable", "cannot be reached"),
        (OperationalError("secret"), "unreachable", "cannot be reached"),
        (OperationalError('cannot resolve host "roles.db"'), "unreachable", "cannot be reached"),
        (OperationalError('role "secret" does not exist'), "unreachable", "user name or password"),
        (OperationalError("secret: too many clients already"), "other", "connections"),
        (OperationalError("secret", "53100"), "full", "disk of its server"),
        (OperationalError("secret", "53200"), "other", "memory or connections"),
        (OperationalError("secret", "57P01"), "unreachable", "starting or stopping"),
        (OperationalError("secret", "57014"), "other", "did not respond in time"),
        (OperationalError("secret", "25006"), "read_only", "primary server"),
        (OperationalError("secret", "22003"), "other", "SQLSTATE 22003"),
        (DataError("secret"), "other", "failed with DataError"),
        (sqlite_error(sqlite3.SQLITE_BUSY_SNAPSHOT), "busy", "locked by another process"),
        (sqlite_error(sqlite3.SQLITE_IOERR_FSYNC), "full", "free some disk space"),
        (sqlite_error(sqlite3.SQLITE_MISUSE), "other", "SQLITE_NAME"),
        (PoolTimeout("secret"), "other", "raise the option connections"),
        (PermissionError(errno.EACCES, "Permission denied", "secret"), "read_only", "denied"),
    ],
)
def test_explains_an_error_without_quoting_it(error: Exception, kind: str, words: str) -> None:
    wrapped = DBAPIError("secret", {}, error) if hasattr(error, "sqlstate") else error
    failure = explain(wrapped)
    assert failure.kind == kind
    assert words in failure.text
    assert "secret" not in failure.text
