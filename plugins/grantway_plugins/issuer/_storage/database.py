"""Open the database, check its file and schema version, and map its errors.

A damaged SQLite file, or one of another program, is rejected before anything is written to it.
"""

from __future__ import annotations

import os
import re
import secrets
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.pool import StaticPool

from grantway._exceptions import ConfigurationError
from grantway_plugins._paths import expand, require_writable, user_folder

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

#: Key of the PostgreSQL advisory lock that is held while tables are created.
_SCHEMA_LOCK = int.from_bytes(b"grantway"[:7], "big")

#: Timeouts of libpq, in seconds (the last one in milliseconds). Without them, libpq waits forever
#: for a server that does not respond.
LIBPQ = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}

#: Advice for errors about the default folder.
_INSTEAD = "--database to a file"
#: SQLSTATEs of PostgreSQL, and the classes of those that mean a lost server.
_DISK_FULL, _READ_ONLY, _GONE = "53100", "25006", frozenset({"08", "57"})
_LOST_ERRORS = frozenset(
    {
        "AdminShutdown",
        "ConnectionTimeout",
        "CrashShutdown",
        "InterfaceError",
        "OperationalError",
    }
)
_HEADER = b"SQLite format 3\x00"

#: A name that starts like this is always a path.
_PATH = re.compile(r"[/~]|\.{1,2}/")
#: Names that were meant as a URL or as a libpq connection string. Treated as a path, such a name
#: would create a file whose name contains a password. A single letter before a colon is a drive.
_MISSPELT_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:|.*:.*@|\s*\w+\s*=", re.DOTALL)
_PASSWORD = re.compile(r":.*@|pass\w*\s*=", re.DOTALL | re.IGNORECASE)


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
    name = _plain(database)
    if "://" in name:
        engine = _engine_of_url(name)
    elif name == ":memory:":
        engine = sa.create_engine(
            "sqlite://",
            poolclass=StaticPool,
            connect_args={"check_same_thread": False},
            hide_parameters=True,
        )
    else:
        path = Path(expand(name, _INSTEAD)).absolute()
        _inspect_or_make(path)
        engine = sa.create_engine(
            sa.URL.create("sqlite", database=str(path)),
            connect_args={"timeout": BUSY_TIMEOUT / 1000},
            hide_parameters=True,
            pool_size=1,
        )
    if engine.dialect.name == "sqlite":
        _take_transactions_from_pysqlite(engine, durability)
    try:
        with engine.begin() as connection:
            _make_or_check_schema(connection)
    except DBAPIError as failed:
        engine.dispose()
        raise store_error(failed.orig, _shown(engine.url)) from None
    except BaseException:
        engine.dispose()
        raise
    return engine


def _plain(database: str | Path) -> str:
    """Return the path of an SQLite URL, or the name itself.

    Raises:
        DatabaseError: the name is neither a path nor a URL.
    """
    name = str(database)
    if not name.startswith(("sqlite://", "sqlite+pysqlite://")):
        if isinstance(database, str) and "://" not in name and _is_misspelt(name):
            raise _no_url()
        return name
    try:
        url = sa.make_url(name)
    except ArgumentError:
        return name
    if url.query or (url.database or "").startswith("file:"):
        return name
    return url.database or ":memory:"


def _is_misspelt(name: str) -> bool:
    return not _PATH.match(name) and _MISSPELT_URL.match(name) is not None


def _no_url() -> DatabaseError:
    # The name may contain a password, so the message does not quote it.
    return DatabaseError(
        "The database is not a URL that SQLAlchemy supports; use a path, :memory:, or a URL like "
        "sqlite:////var/lib/grantway/issuer.sqlite3 or postgresql+psycopg://db.example.com/issuer. "
        "Write a file whose name looks like a URL as ./name"
    )


def _engine_of_url(name: str) -> sa.Engine:
    try:
        url = sa.make_url(name)
        if url.get_backend_name() == "sqlite" and url.database:
            url = url.set(database=expand(url.database, _INSTEAD))
            if (url.database or "").startswith("file:"):
                # Without this, SQLite would use the whole URI as a file name.
                url = url.update_query_dict({"uri": "true"})
            path = _file_of(url)
            if path is not None:
                _inspect_or_make(path)
        else:
            _check_password_escaped(url)
        arguments: dict[str, int] = {}
        if url.get_driver_name() in {"psycopg", "psycopg2"}:
            arguments = {name: LIBPQ[name] for name in LIBPQ if name not in url.query}
        return sa.create_engine(url, hide_parameters=True, connect_args=arguments)
    except ModuleNotFoundError as missing:
        raise DatabaseError(f"This database needs {missing.name}; install it with pip") from None
    except (ConfigurationError, DatabaseError):
        raise  # before the handler below: ConfigurationError is also a ValueError
    except (SQLAlchemyError, ValueError):
        raise _no_url() from None


def _check_password_escaped(url: sa.URL) -> None:
    """Reject a URL with an unescaped @ in its password: the rest would be resolved as a host."""
    if "@" in f"{url.host}{url.database}":
        raise DatabaseError(
            "The database URL has more than one @; write an @ in the password as %40"
        )


def _file_of(url: sa.URL) -> Path | None:
    """Return the file of an SQLite URL with a query, or None for a database in memory."""
    name = url.database or ""
    if name.startswith("file:"):
        parts = urlsplit(name)
        query = {**dict(parse_qsl(parts.query)), **url.query}
        name = unquote(parts.path)
        if query.get("mode") == "memory":
            return None
    return None if name in {"", ":memory:"} else Path(name).absolute()


def _shown(url: sa.URL) -> str:
    """Return a URL without its password and query, which may be secret."""
    if url.get_backend_name() == "sqlite":
        return url.database or ":memory:"
    if _PASSWORD.search(url.database or ""):  # a connection string after the last slash
        url = url.set(database="***")
    return url.set(query={}).render_as_string(hide_password=True)


def has_password(database: str) -> bool:
    """Return whether a database URL contains a password."""
    try:
        url = sa.make_url(database)
    except (SQLAlchemyError, ValueError):
        if _PATH.match(database):
            return False
        return _PASSWORD.search(database) is not None or ("://" in database and "@" in database)
    # libpq's passfile is a file name, not a password.
    if url.get_backend_name() != "sqlite" and _PASSWORD.search(url.database or ""):
        return True
    return bool(url.password) or any(
        "pass" in name.lower() and not name.lower().endswith("file") for name in url.query
    )


def store_error(  # noqa: PLR0911 - one return for each cause
    cause: object, name: str = "the database"
) -> DatabaseError:
    """Return the `DatabaseError` for a driver's error, with advice for the operator."""
    code = (getattr(cause, "sqlite_errorcode", None) or 0) & 0xFF
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return DatabaseBusyError(
            f"{name} is locked by another process; stop that process, or try again later"
        )
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return DatabaseCorruptError(
            f"{name} is damaged or not an SQLite database; nothing was changed. "
            "Restore it from a backup, or use another file"
        )
    if code in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}:
        return DatabaseReadOnlyError(
            f"{name} cannot be opened for writing; give this user write access to the file and "
            "its folder, or use another file"
        )
    if code in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}:
        return DatabaseFullError(
            f"{name} cannot be written ({getattr(cause, 'sqlite_errorname', 'disk error')}): the "
            "disk is full or failing, or the file has reached a size limit; free some space"
        )
    state = getattr(cause, "sqlstate", None)
    if state == _DISK_FULL:
        return DatabaseFullError(
            f"The disk of the database server is full ({name}); free some space"
        )
    if state == _READ_ONLY:
        return DatabaseReadOnlyError(
            f"The database server of {name} is read-only; connect to the primary server, or "
            "promote this one"
        )
    if not code and type(cause).__name__ in _LOST_ERRORS and (state is None or state[:2] in _GONE):
        return DatabaseUnreachableError(
            f"The database server of {name} cannot be reached; check its address and that it is "
            "running"
        )
    kind = getattr(cause, "sqlite_errorname", None) or type(cause).__name__
    return DatabaseError(f"{name} failed ({kind}); check its disk space and its server")


def _take_transactions_from_pysqlite(engine: sa.Engine, durability: Durability) -> None:
    """Lock the database at the start of each transaction.

    pysqlite's own BEGIN is deferred, and upgrading a read transaction fails if another is writing.
    """
    synchronous = "FULL" if durability == "power" else "NORMAL"

    @event.listens_for(engine, "connect")
    def connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT}")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={synchronous}")
        connection.execute(f"PRAGMA wal_autocheckpoint={FALLBACK_PAGES}")

    @event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _inspect_or_make(path: Path) -> None:
    """Check the file without changing it, or create it with access for this user only."""
    try:
        if not path.parent.exists():
            path.parent.mkdir(mode=0o700, parents=True)
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
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
        raise store_error(failed, str(path)) from None
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
    if connection.dialect.name == "postgresql":
        # Two issuers starting at the same time on an empty database would both create each table.
        # SQLite needs no lock, because its transactions run one after another.
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_SCHEMA_LOCK)))
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
