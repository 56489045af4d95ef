"""The SQLite file: check it, keep it private, and copy it before an upgrade.

A damaged file, or one of another program, is rejected before anything is written to it.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from grantway_plugins._sql.engine import create_private_file

from . import tables
from .errors import (
    DatabaseCorruptError,
    DatabaseForeignError,
    DatabaseReadOnlyError,
    database_error,
)
from .schema import check_version

#: Milliseconds that a writer waits for another process's transaction.
BUSY_TIMEOUT = 2000
#: Maximum size of a database that is checked completely on opening, in bytes.
CHECKED_SIZE = 16 * 2**20
#: Size of SQLite's smallest page in bytes.
_SMALLEST = 512


def inspect_or_make_file(path: Path) -> int | None:
    """Check the file without changing it, or create it with access for this user only.

    Returns:
        Its schema version; None for a new file.

    Raises:
        DatabaseError: It is damaged, inaccessible, or of another program or version.
    """
    try:
        create_private_file(path)
        size = path.stat().st_size
        _check_accessible(path)
    except FileExistsError:
        raise DatabaseReadOnlyError(f"{path.parent} is not a folder; use another file") from None
    except OSError as failed:
        raise DatabaseReadOnlyError(
            f"{path} cannot be opened for writing ({failed.strerror}); give this user write "
            "access to the file and its folder, or use another file"
        ) from None
    if not size:
        _make_private(path)
        return None
    foreign = DatabaseCorruptError(
        f"{path} is not an SQLite database; nothing was changed. Use another file"
    )
    if size < _SMALLEST:  # SQLite would treat it as empty
        raise foreign
    try:
        with closing(
            sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=BUSY_TIMEOUT / 1000)
        ) as connection:
            version = _inspect(connection, path, whole=size <= CHECKED_SIZE)
    except sqlite3.Error as failed:
        if getattr(failed, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB:
            raise foreign from None
        raise database_error(failed, str(path)) from None
    _make_private(path)
    return version


def keep_copy(path: Path, version: int) -> None:
    """Copy the database to a private file beside it, named after its schema version.

    The caller holds the lock of the database, so it does not change.

    Raises:
        DatabaseError: The disk is full, for example. There is no copy then.
    """
    copy = path.with_name(f"{path.name}.version-{version}")
    part = path.with_name(f"{copy.name}.part")
    try:
        part.unlink(missing_ok=True)
        create_private_file(part)
        with (
            closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(part)) as target,
        ):
            source.backup(target)
        part.replace(copy)
    except (OSError, sqlite3.Error) as failed:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise database_error(failed, f"The copy {copy} cannot be made before the upgrade") from None


def _check_accessible(path: Path) -> None:
    """Check that this user can read and write the file, without opening it.

    Closing a file ends all locks of this process on it, also those of another database connection.
    Then another process would remove the write-ahead log, and later changes would be lost.

    Raises:
        OSError: The file is a folder or not accessible.
    """
    problem = errno.EISDIR if path.is_dir() else errno.EACCES
    if path.is_dir() or not os.access(path, os.R_OK | os.W_OK):
        raise OSError(problem, os.strerror(problem))


def _make_private(path: Path) -> None:
    """Restrict access to the database's files to this user."""
    for each in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))):
        with suppress(FileNotFoundError, PermissionError):  # the file belongs to another user
            each.chmod(0o600)


def _inspect(connection: sqlite3.Connection, path: Path, *, whole: bool) -> int | None:
    found = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if found and tables.schema.name not in found:
        raise DatabaseForeignError(
            f"{path} is a database of another program; nothing was changed. Use another file"
        )
    version = None
    if found:
        version = check_version(
            [row for (row,) in connection.execute(f"SELECT version FROM {tables.schema.name}")],  # noqa: S608 - the name is ours
            str(path),
        )
    if whole and connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
        raise DatabaseCorruptError(
            f"{path} is damaged; nothing was changed. Restore it from a backup, or use another file"
        )
    return version
