"""Errors of the issuer's database."""

from __future__ import annotations

from grantway._exceptions import GrantwayError
from grantway_plugins._sql.failures import Kind, explain


class DatabaseError(GrantwayError):
    """The issuer's database failed. Nothing was changed, unless a subclass says otherwise.

    Attributes:
        public: Description for clients; does not reveal the database's name or address.
    """

    code = "store_error"
    public = "The database failed; see the issuer's log"


class DatabaseOutcomeUnknownError(DatabaseError):
    """The connection failed during a commit, so either all or none of the changes are stored."""

    code = "store_outcome_unknown"
    public = "The connection to the database was lost"


class DatabaseCorruptError(DatabaseError):
    """The file is not a database, or is damaged."""

    code = "store_corrupt"
    public = "The database is damaged"


class DatabaseForeignError(DatabaseError):
    """The database belongs to another program or to another version of the issuer."""

    code = "store_foreign"
    public = "The database belongs to another program or version"


class DatabaseReadOnlyError(DatabaseError):
    """The database or its folder cannot be written."""

    code = "store_read_only"
    public = "The database cannot be written; it is read-only"


class DatabaseFullError(DatabaseError):
    """The database's disk is full, or its file has reached a size limit."""

    code = "store_full"
    public = "The database's disk is full, or its file has reached a size limit"


class DatabaseUnreachableError(DatabaseError):
    """The database server cannot be reached."""

    code = "store_unreachable"
    public = "The database server cannot be reached"


class DatabaseBusyError(DatabaseError):
    """Another process has locked the database; retry the request."""

    code = "store_busy"
    public = "The database is busy"


_ERRORS: dict[Kind, type[DatabaseError]] = {
    "busy": DatabaseBusyError,
    "corrupt": DatabaseCorruptError,
    "read_only": DatabaseReadOnlyError,
    "full": DatabaseFullError,
    "unreachable": DatabaseUnreachableError,
    "other": DatabaseError,
}


def database_error(error: Exception, name: str = "the database") -> DatabaseError:
    """Return the error for a driver's error, with advice for the operator."""
    failure = explain(error)
    return _ERRORS[failure.kind](f"{name}: {failure.text}")
