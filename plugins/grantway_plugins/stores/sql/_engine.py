"""Opening a database for tokens, and what its failures mean for who runs it."""

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

#: PostgreSQL's SQLSTATE -> what it means, and what to do; the longest that fits counts.
_STATES = {
    "08": "it cannot be reached; see that it runs, and that the URL names it rightly",
    "25006": "it takes no changes (a standby, or read-only); name the primary in the URL",
    "28": "it refused the user name or password; put the right ones in the URL",
    "3D": "it has no such database; make it, or name another in the URL",
    "42501": "this user may not do it; grant the user SELECT, INSERT, UPDATE and DELETE on the "
    "tables, or CREATE on the schema where they are not made yet",
    "42P01": "its tables are gone; start again, and they are made anew",
    "53": "it has no room (disk, memory or connections); see its log",
    "57014": "it did not answer in time; see what keeps it",
    "57P": "it is starting or stopping; try again in a moment",
}
#: The server's words where a refused connection has no SQLSTATE -> the same.
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
#: SQLite's code -> what it means, and what to do.
_CODES = {
    sqlite3.SQLITE_BUSY: "another process kept it locked; see what keeps it",
    sqlite3.SQLITE_LOCKED: "another process kept it locked; see what keeps it",
    sqlite3.SQLITE_CORRUPT: "the file is damaged; restore it from a backup, or name another",
    sqlite3.SQLITE_NOTADB: "the file is no SQLite database; name another",
    sqlite3.SQLITE_READONLY: "it cannot be written; give this user write access to the file and "
    "its folder, or name another",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; give this user access to the file and its "
    "folder, or name another",
    sqlite3.SQLITE_PERM: "it cannot be opened; give this user access to the file",
    sqlite3.SQLITE_FULL: "its disk is full; make room",
    sqlite3.SQLITE_IOERR: "its disk failed or is full; make room, or see the system's log",
}


def open_engine(url: Masked[str], *, timeout: float, connections: int) -> sa.Engine:
    """An engine that commits each statement by itself; asks the database nothing yet.

    So no lock of the database outlives a statement, however long this process is stopped.

    Raises:
        ConfigurationError: it is no URL of SQLite or PostgreSQL, or its driver is not installed.
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
    except ConfigurationError:  # which is a ValueError
        raise
    except ModuleNotFoundError as missing:
        problem = f"needs {missing.name}; install it with: pip install {missing.name}"
    except (ArgumentError, SQLAlchemyError, ValueError, TypeError):
        problem = _RULE
    # Outside of the except block: the error quotes the URL.
    raise ConfigurationError(f"url: {problem}.", errors={"url": [problem]})


def place(engine: sa.Engine) -> str:
    """The database as an error may name it: no user, no password, no options."""
    url = engine.url
    if engine.dialect.name == "sqlite":
        return str(url.database)
    host = url.host or url.query.get("host", "localhost")
    return f"{engine.dialect.name}://{host}:{url.port or 5432}/{url.database or ''}"


def hosts_in_the_clear(url: sa.URL) -> list[str]:
    """The hosts of a PostgreSQL URL that the driver may reach without TLS.

    libpq's default, ``sslmode=prefer``, goes on in the clear where the server offers no TLS.
    """
    mode = url.query.get("sslmode") or os.environ.get("PGSSLMODE", "")
    if mode in {"require", "verify-ca", "verify-full"}:
        return []
    named = [url.host, *_several(url.query.get("host")), *_several(url.query.get("hostaddr"))]
    if not any(named):
        named = [os.environ.get("PGHOST"), os.environ.get("PGHOSTADDR")]
    listed = [each for some in named if some for each in unquote(some).split(",")]
    # An IPv6 address has more colons than the one before a port.
    return [each.partition(":")[0] if each.count(":") == 1 else each for each in listed if each]


def _several(value: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value or ()


def make_file(engine: sa.Engine) -> None:
    """Make SQLite's file, for this user alone, where it is not there.

    Raises:
        OSError: it cannot be made.
    """
    if engine.dialect.name != "sqlite" or str(engine.url.database).startswith("file:"):
        return
    path = Path(str(engine.url.database))
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))


def explain(error: Exception) -> str:
    """What happened and what to do; quotes nothing that the driver said."""
    if isinstance(error, OSError):
        return f"the file cannot be made ({error.strerror}); name another"
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(error, PoolTimeout):
        return "every connection was in use for too long; allow more connections"
    code = getattr(cause, "sqlite_errorcode", None)
    if code is not None:
        name = getattr(cause, "sqlite_errorname", "")
        return _CODES.get(code & 0xFF, f"SQLite failed with {name}; see its disk and its file")
    state = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
    if not state:
        said = str(cause)
        state = next((state for words, state in _WORDS.items() if words in said), "08")
    for length in (5, 3, 2):
        if state[:length] in _STATES:
            return _STATES[state[:length]]
    return f"it failed with SQLSTATE {state}; see its log"


def _prepare(engine: sa.Engine, timeout: float) -> None:
    """What each new connection is told before it is used."""
    lite = engine.dialect.name == "sqlite"

    @event.listens_for(engine, "connect")
    def connect(connection: Any, _record: Any) -> None:
        with closing(connection.cursor()) as cursor:
            if lite:
                _keep_log(cursor, timeout)
                # A save is on the disk when it returns.
                cursor.execute("PRAGMA synchronous=FULL")
            else:
                # A server may be set to wait for more than its own disk, and not for less.
                cursor.execute(
                    f"SELECT set_config('statement_timeout', '{int(timeout * 1000)}', false), "
                    "CASE WHEN current_setting('synchronous_commit') = 'off' "
                    "THEN set_config('synchronous_commit', 'on', false) END"
                )


def _keep_log(cursor: Any, timeout: float) -> None:
    """Let readers read while one writes; for the first connection to a file, a change of it."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as failed:
            # SQLite waits for no other process here, as it does everywhere else.
            busy = (failed.sqlite_errorcode & 0xFF) == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() > deadline:
                raise
            time.sleep(0.005)
        else:
            return
