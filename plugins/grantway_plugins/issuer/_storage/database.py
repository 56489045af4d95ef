"""Open the database, check its file and schema version, and map its errors.

A damaged SQLite file, or one of another program, is rejected before anything is written to it.
"""

from __future__ import annotations

import re
import secrets
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from grantway._secrets.masked import Masked
from grantway_plugins._paths import expand, require_writable, user_folder
from grantway_plugins._sql.engine import create_private_file, lock_schema, make_engine
from grantway_plugins._sql.failures import Kind, explain
from grantway_plugins._sql.urls import (
    PATH,
    STRAY_AT,
    has_stray_at,
    location,
    parse_url,
    sqlite_file,
)

from . import tables
from .checkpoint import FALLBACK_PAGES
from .errors import (
    DatabaseBusyError,
    DatabaseCorruptError,
    DatabaseError,
    DatabaseForeignError,
    DatabaseFullError,
    DatabaseReadOnlyError,
    DatabaseUnreachableError,
)

Durability = Literal["process", "power"]

#: Milliseconds that a writer waits for another process's transaction.
BUSY_TIMEOUT = 2000
#: Maximum size of a database that is checked completely on opening, in bytes.
CHECKED_SIZE = 16 * 2**20

#: Seconds that PostgreSQL may take to accept a connection.
CONNECT_TIMEOUT = 5
#: Advice for errors about the default folder.
_INSTEAD = "--database to a file"
_HEADER = b"SQLite format 3\x00"

#: Names that were meant as a URL or as a libpq connection string. Treated as a path, such a name
#: would create a file whose name contains a password. A single letter before a colon is a drive.
_MISSPELT_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:|.*:.*@|\s*\w+\s*=", re.DOTALL)
_RULE = (
    "The database is not a URL that SQLAlchemy supports; use a path, :memory:, or a URL like "
    "sqlite:////var/lib/grantway/issuer.sqlite3 or postgresql+psycopg://db.example.com/issuer. "
    "Write a file whose name looks like a URL as ./name"
)

_ERRORS: dict[Kind, type[DatabaseError]] = {
    "busy": DatabaseBusyError,
    "corrupt": DatabaseCorruptError,
    "read_only": DatabaseReadOnlyError,
    "full": DatabaseFullError,
    "unreachable": DatabaseUnreachableError,
    "other": DatabaseError,
}


def default_path() -> Path:
    """Return the default path of the database, in the user's data folder.

    Raises:
        ConfigurationError: there is no home directory, or the folder cannot be created.
    """
    folder = require_writable(user_folder("data", _INSTEAD), "data", _INSTEAD)
    return Path(folder, "issuer.sqlite3")


def open_database(database: str | Path, *, durability: Durability = "process") -> sa.Engine:
    """Open the issuer's database, creating it if it does not exist.

    Args:
        database: A path, ``:memory:``, or an SQLAlchemy URL with ``://``.
        durability: ``process`` keeps issued tokens if the process crashes; ``power`` also keeps
            them after a power failure (``synchronous=FULL``, one sync per commit).

    Raises:
        DatabaseError: the database is damaged, locked, read-only or of another program. Nothing was
            changed.
    """
    url = _url(database)
    options: dict[str, Any] = {}
    if url.get_backend_name() == "sqlite":
        path = sqlite_file(url)
        if path is not None:
            _inspect_or_make(path)
            options = {"pool_size": 1}
        elif not url.query:
            options = {"poolclass": StaticPool, "connect_args": {"check_same_thread": False}}
    engine, problem = make_engine(
        url,
        busy_timeout=BUSY_TIMEOUT / 1000,
        connect_timeout=CONNECT_TIMEOUT,
        synchronous="FULL" if durability == "power" else "NORMAL",
        rule=_RULE,
        **options,
    )
    if engine is None:
        raise DatabaseError(problem if problem == _RULE else f"This database {problem}")
    if engine.dialect.name == "sqlite":
        _lock_at_begin(engine)
    try:
        with engine.begin() as connection:
            _make_or_check_schema(connection)
    except DBAPIError as failed:
        engine.dispose()
        raise database_error(failed, location(engine.url)) from None
    except BaseException:
        engine.dispose()
        raise
    return engine


def _url(database: str | Path) -> sa.URL:
    """Return the URL of a path or URL.

    Raises:
        ConfigurationError: There is no such home directory.
        DatabaseError: The name is neither a path nor a URL.
    """
    name = str(database)
    if name == ":memory:":
        return sa.URL.create("sqlite")
    if "://" not in name:
        if isinstance(database, str) and not PATH.match(name) and _MISSPELT_URL.match(name):
            # The name may contain a password, so the message does not quote it.
            raise DatabaseError(_RULE)
        return sa.URL.create("sqlite", database=str(Path(expand(name, _INSTEAD)).absolute()))
    url = parse_url(Masked(name), _INSTEAD)
    if url is None:
        raise DatabaseError(_RULE)
    if has_stray_at(url):
        raise DatabaseError(f"The database URL {STRAY_AT}")
    return url


def database_error(error: Exception, name: str = "the database") -> DatabaseError:
    """Return the error for a driver's error, with advice for the operator."""
    failure = explain(error)
    return _ERRORS[failure.kind](f"{name}: {failure.text}")


def _lock_at_begin(engine: sa.Engine) -> None:
    """Lock the database at the start of each transaction.

    pysqlite's own BEGIN is deferred, and upgrading a read transaction fails if another is writing.
    """

    @event.listens_for(engine, "connect")
    def connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        connection.execute(f"PRAGMA wal_autocheckpoint={FALLBACK_PAGES}")

    @event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _inspect_or_make(path: Path) -> None:
    """Check the file without changing it, or create it with access for this user only."""
    try:
        create_private_file(path)
        size = path.stat().st_size
        with path.open("r+b") as file:
            header = file.read(len(_HEADER))
    except FileExistsError:
        raise DatabaseReadOnlyError(f"{path.parent} is not a folder; use another file") from None
    except OSError as failed:
        raise DatabaseReadOnlyError(
            f"{path} cannot be opened for writing ({failed.strerror}); give this user write "
            "access to the file and its folder, or use another file"
        ) from None
    if not size:
        _make_private(path)
        return
    if header != _HEADER:
        raise DatabaseCorruptError(
            f"{path} is not an SQLite database; nothing was changed. Use another file"
        )
    try:
        with closing(
            sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=BUSY_TIMEOUT / 1000)
        ) as connection:
            _inspect(connection, path, whole=size <= CHECKED_SIZE)
    except sqlite3.Error as failed:
        raise database_error(failed, str(path)) from None
    _make_private(path)


def _make_private(path: Path) -> None:
    """Restrict access to the database's files to this user."""
    for each in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))):
        with suppress(FileNotFoundError, PermissionError):  # the file belongs to another user
            each.chmod(0o600)


def _inspect(connection: sqlite3.Connection, path: Path, *, whole: bool) -> None:
    found = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if found and tables.schema.name not in found:
        raise DatabaseForeignError(
            f"{path} is a database of another program; nothing was changed. Use another file"
        )
    if found:
        _check_version(
            [row for (row,) in connection.execute(f"SELECT version FROM {tables.schema.name}")],  # noqa: S608 - the name is ours
            str(path),
        )
    if whole and connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
        raise DatabaseCorruptError(
            f"{path} is damaged; nothing was changed. Restore it from a backup, or use another file"
        )


def _make_or_check_schema(connection: sa.Connection) -> None:
    lock_schema(connection)
    tables.metadata.create_all(connection)
    versions = list(connection.scalars(sa.select(tables.schema.c.version)))
    if not versions:
        connection.execute(tables.schema.insert(), {"version": tables.SCHEMA_VERSION})
    else:
        _check_version(versions, connection.engine.url.database or "the database")
    if connection.scalar(sa.select(sa.func.count()).select_from(tables.form_key)) == 0:
        connection.execute(tables.form_key.insert(), {"key": secrets.token_bytes(32)})


def _check_version(versions: list[int], name: str) -> None:
    if versions != [tables.SCHEMA_VERSION]:
        listing = ", ".join(str(version) for version in versions) or "none"
        raise DatabaseForeignError(
            f"{name} has schema version {listing} and this issuer needs {tables.SCHEMA_VERSION}; "
            "nothing was changed. Use the version that created it, or another file"
        )
