"""Open the database, and map its errors."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from grantway._secrets.masked import Masked
from grantway_plugins._paths import expand, require_writable, user_folder
from grantway_plugins._sql.engine import make_engine
from grantway_plugins._sql.failures import is_lock_conflict
from grantway_plugins._sql.urls import (
    PATH,
    STRAY_AT,
    has_stray_at,
    location,
    parse_url,
    sqlite_file,
)

from .checkpoint import FALLBACK_PAGES
from .database_file import BUSY_TIMEOUT, inspect_or_make_file, keep_copy
from .errors import DatabaseError, database_error
from .schema import make_or_upgrade_schema, needs_upgrade

Durability = Literal["process", "power"]

#: Milliseconds that an issuer waits while another one upgrades the same SQLite file.
UPGRADE_TIMEOUT = 120_000
#: Attempts to lock PostgreSQL's tables for an upgrade while other issuers use them.
UPGRADE_ATTEMPTS = 5

#: Seconds that PostgreSQL may take to accept a connection.
CONNECT_TIMEOUT = 5
#: Advice for errors about the default folder.
_INSTEAD = "--database to a file"

#: Names that were meant as a URL or as a libpq connection string. Treated as a path, such a name
#: would create a file whose name contains a password. A single letter before a colon is a drive.
_MISSPELT_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:|.*:.*@|\s*\w+\s*=", re.DOTALL)
_RULE = (
    "The database is not a URL that SQLAlchemy supports; use a path, :memory:, or a URL like "
    "sqlite:////var/lib/grantway/issuer.sqlite3 or postgresql+psycopg://db.example.com/issuer. "
    "Write a file whose name looks like a URL as ./name"
)


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
    path, version = None, None
    if url.get_backend_name() == "sqlite":
        path = sqlite_file(url)
        if path is not None:
            version = inspect_or_make_file(path)
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
        _open_schema(engine, path, patient=needs_upgrade(version))
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


def _open_schema(engine: sa.Engine, path: Path | None, *, patient: bool) -> None:
    """Make, check or upgrade the schema in one transaction.

    Args:
        engine: The database.
        path: The SQLite file, or None.
        patient: Whether to wait for another issuer that is upgrading the file.
    """
    copy = None if path is None else partial(keep_copy, path)
    for attempt in range(1, UPGRADE_ATTEMPTS + 1):
        try:
            with engine.connect() as connection:
                driver: Any = connection.connection.dbapi_connection
                if patient:
                    driver.execute(f"PRAGMA busy_timeout={UPGRADE_TIMEOUT}")
                with connection.begin():
                    make_or_upgrade_schema(connection, location(engine.url), copy)
                if patient:
                    driver.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT}")
        except DBAPIError as failed:
            # Requests of running issuers lock the same tables, in another order.
            if attempt == UPGRADE_ATTEMPTS or not is_lock_conflict(failed):
                raise
        else:
            return


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
