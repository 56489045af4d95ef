"""What can be wrong with the issuer's database, each with what to do about it."""

from __future__ import annotations

from grantway.exceptions import GrantwayError


class StoreError(GrantwayError):
    """The issuer's database cannot be used. Unless a subclass says otherwise, nothing changed."""

    code = "store_error"


class StoreOutcomeUnknownError(StoreError):
    """The connection was lost during a commit, so the changes were kept entirely or not at all."""

    code = "store_outcome_unknown"


class StoreCorruptError(StoreError):
    """The file is not a database, or is damaged."""

    code = "store_corrupt"


class StoreForeignError(StoreError):
    """The database belongs to something else, or to another version of the issuer."""

    code = "store_foreign"


class StoreReadOnlyError(StoreError):
    """The database or its folder cannot be written."""

    code = "store_read_only"


class StoreBusyError(StoreError):
    """Another process holds the database; the same request may be sent again."""

    code = "store_busy"
