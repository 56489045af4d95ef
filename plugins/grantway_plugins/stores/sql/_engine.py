"""The database engine, and explanations of its errors with remedies for the operator."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError, TimeoutError as PoolTimeout

from grantway._exceptions import ConfigurationError
from grantway._secrets.masked import Masked
from grantway_plugins._paths import expand

_RULE = (
    "must be like postgresql+psycopg://USER:PASSWORD@HOST:PORT/DATABASE, or "
    "sqlite:////PATH/TO/tokens.sqlite3"
)

#: PostgreSQL's SQLSTATE or its prefix -> its meaning and a remedy; the longest match wins.
_STATES = {
    "08": "it cannot be reached; check that it is running, and the URL",
    "25006": "it is read-only (perhaps a standby); use the URL of the primary",
    "28": "it rejected the user name or password; correct them in the URL",
    "3D": "the database does not exist; create it, or correct its name in the URL",
    "42501": "this user lacks permissions; grant it SELECT, INSERT, UPDATE and DELETE on the "
    "tables, or CREATE on the schema if they do not exist yet",
    "42P01": "its tables were removed; restart this program to create them again",
    "53": "it is out of disk space, memory or connections; see its log",
    "57014": "it did not respond in time; find out what blocks it",
    "57P": "it is starting or stopping; retry in a moment",
}
#: Text of connection errors that have no SQLSTATE -> the equivalent SQLSTATE.
_WORDS = {
    "password authentication failed": "28",
    "no password supplied": "28",
    "pg_hba.conf": "28",
    "role": "28",
    "does not exist": "3D",
    "too many": "53",
    "starting up": "57P",
    "shutting down": "57P",
}
#: SQLite's primary error code -> its meaning and a remedy.
_CODES = {
    sqlite3.SQLITE_BUSY: "another process kept it locked; find out which one",
    sqlite3.SQLITE_LOCKED: "another process kept it locked; find out which one",
    sqlite3.SQLITE_CORRUPT: "the file is corrupt; restore it from a backup, or use another file",
    sqlite3.SQLITE_NOTADB: "the file is not an SQLite database; use another file",
    sqlite3.SQLITE_READONLY: "it cannot be written; give this user write access to the file and "
    "its folder, or use another file",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; give this user access to the file and its "
    "folder, or use another file",
    sqlite3.SQLITE_PERM: "it cannot be opened; give this user access to the file",
    sqlite3.SQLITE_FULL: "its disk is full; free some disk space",
    sqlite3.SQLITE_IOERR: "its disk is failing or full; free some space, or see the system's log",
}


def open_engine(url: Masked[str], *, timeout: float, connections: int) -> sa.Engine:
    """Return an engine in autocommit mode, without connecting yet.

    Autocommit ensures that no database lock outlasts a statement, even if this process is
    suspended.

    Raises:
        ConfigurationError: The URL is not one of SQLite or PostgreSQL, or its driver is not
            installed.
    """
    options: dict[str, Any] = {
        "hide_parameters": True,
        "isolation_level": "AUTOCOMMIT",
        "pool_size": connections,
        "max_overflow": 0,
        "pool_timeout": timeout,
    }
    try:
        parsed = Masked(sa.make_url(url.value))
        driver = parsed.value.get_dialect().name
        in_memory = driver == "sqlite" and parsed.value.database in {None, "", ":memory:"}
        if driver not in {"sqlite", "postgresql"} or in_memory:
            problem = _RULE
        else:
            if driver == "sqlite":
                file = expand(parsed.value.database or "", "the URL to an absolute path")
                parsed = Masked(parsed.value.set(database=file))
                options["connect_args"] = {"timeout": timeout}
            elif parsed.value.get_driver_name() in {"psycopg", "psycopg2"}:
                options["connect_args"] = {"connect_timeout": max(2, int(timeout))}
            engine = sa.create_engine(parsed.value, **options)
            _prepare(engine, timeout)
            return engine
    except ConfigurationError:  # a subclass of ValueError, which is handled below
        raise
    except ModuleNotFoundError as missing:
        problem = f"needs {missing.name}; install it with: pip install {missing.name}"
    except (ArgumentError, SQLAlchemyError, ValueError, TypeError):
        problem = _RULE
    # Raised outside the except block, because SQLAlchemy's error quotes the URL.
    raise ConfigurationError(f"url: {problem}.", errors={"url": [problem]})


def location(engine: sa.Engine) -> str:
    """Return the location of the database for errors, without user, password and options."""
    url = engine.url
    if engine.dialect.name == "sqlite":
        return str(url.database)
    host = url.host or url.query.get("host", "localhost")
    return f"{engine.dialect.name}://{host}:{url.port or 5432}/{url.database or ''}"


def hosts_without_tls(url: sa.URL) -> list[str]:
    """Return the hosts of a PostgreSQL URL that the driver may reach without TLS.

    libpq's default, ``sslmode=prefer``, continues without TLS if the server offers none.
    """
    mode = url.query.get("sslmode") or os.environ.get("PGSSLMODE", "")
    if mode in {"require", "verify-ca", "verify-full"}:
        return []
    values = [url.host, *_values(url.query.get("host")), *_values(url.query.get("hostaddr"))]
    if not any(values):
        values = [os.environ.get("PGHOST"), os.environ.get("PGHOSTADDR")]
    hosts = [host for value in values if value for host in unquote(value).split(",")]
    # One colon separates a port; an IPv6 address has several.
    return [host.partition(":")[0] if host.count(":") == 1 else host for host in hosts if host]


def _values(value: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value or ()


def create_file(engine: sa.Engine) -> None:
    """Create SQLite's file with mode 0600 unless it exists.

    Raises:
        OSError: The file cannot be created.
    """
    if engine.dialect.name != "sqlite" or str(engine.url.database).startswith("file:"):
        return
    path = Path(str(engine.url.database))
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))


def explain(error: Exception) -> str:
    """Return the error's meaning and a remedy. Does not quote the driver's message."""
    if isinstance(error, OSError):
        return f"the file cannot be created ({error.strerror}); use another file"
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(error, PoolTimeout):
        return "all connections were in use for too long; raise the option connections"
    code = getattr(cause, "sqlite_errorcode", None)
    if code is not None:
        name = getattr(cause, "sqlite_errorname", "")
        return _CODES.get(code & 0xFF, f"SQLite failed with {name}; check the disk and the file")
    state = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
    if not state:
        message = str(cause)
        state = next((state for words, state in _WORDS.items() if words in message), "08")
    for length in (5, 3, 2):
        if state[:length] in _STATES:
            return _STATES[state[:length]]
    return f"it failed with SQLSTATE {state}; see its log"


def _prepare(engine: sa.Engine, timeout: float) -> None:
    """Configure each new connection of the engine."""
    lite = engine.dialect.name == "sqlite"

    @event.listens_for(engine, "connect")
    def connect(connection: Any, _record: Any) -> None:
        with closing(connection.cursor()) as cursor:
            if lite:
                _enable_wal(cursor, timeout)
                # A save is on disk when it returns.
                cursor.execute("PRAGMA synchronous=FULL")
            else:
                # Respect settings stricter than "on", such as waiting for replicas.
                cursor.execute(
                    f"SELECT set_config('statement_timeout', '{int(timeout * 1000)}', false), "
                    "CASE WHEN current_setting('synchronous_commit') = 'off' "
                    "THEN set_config('synchronous_commit', 'on', false) END"
                )


def _enable_wal(cursor: Any, timeout: float) -> None:
    """Enable the write-ahead log, so that readers do not wait for a writer."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as failed:
            # SQLite's busy timeout does not apply to this pragma.
            busy = (failed.sqlite_errorcode & 0xFF) == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() > deadline:
                raise
            time.sleep(0.005)
        else:
            return
