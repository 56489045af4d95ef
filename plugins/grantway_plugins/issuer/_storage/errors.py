"""Errors of the issuer's database."""

from __future__ import annotations

from grantway._exceptions import GrantwayError


class DatabaseError(GrantwayError):
    """The issuer's database cannot be used. Unless a subclass says otherwise, nothing changed.

    Attributes:
        public: The text for callers of the issuer; names neither the database nor its place.
    """

    code = "store_error"
    public = "The database failed; see the issuer's log"


class DatabaseOutcomeUnknownError(DatabaseError):
    """The connection was lost or silent, so the changes are kept entirely or not at all."""

    code = "store_outcome_unknown"
    public = "The connection to the database was lost"


class DatabaseCorruptError(DatabaseError):
    """The file is not a database, or is damaged."""

    code = "store_corrupt"
    public = "The database is damaged"


class DatabaseForeignError(DatabaseError):
    """The database belongs to something else, or to another version of the issuer."""

    code = "store_foreign"
    public = "The database belongs to another program or version"


class DatabaseReadOnlyError(DatabaseError):
    """The database or its folder cannot be written."""

    code = "store_read_only"
    public = "The database cannot be written; it is read-only"


class DatabaseFullError(DatabaseError):
    """The disk of the database is full, or its file has reached a size limit."""

    code = "store_full"
    public = "The database's disk is full, or its file has reached a size limit"


class DatabaseUnreachableError(DatabaseError):
    """The server of the database cannot be reached."""

    code = "store_unreachable"
    public = "The database's server cannot be reached"


class DatabaseBusyError(DatabaseError):
    """Another process holds the database; the same request may be sent again."""

    code = "store_busy"
    public = "The database is busy"
