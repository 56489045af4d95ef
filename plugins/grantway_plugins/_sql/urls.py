"""Database URLs: parse them, and show them without secrets."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from grantway._secrets.masked import Masked
from grantway_plugins._paths import expand

#: A name that starts like this is always a path.
PATH = re.compile(r"[/~]|\.{1,2}/")
#: The problem of a URL for which ``has_stray_at`` is true.
STRAY_AT = "has more than one @; write an @ in the password as %40"
_PASSWORD = re.compile(r":.*@|pass\w*\s*=", re.DOTALL | re.IGNORECASE)


def parse_url(text: Masked[str], instead: str) -> sa.URL | None:
    """Return a URL with the absolute path of SQLite's file, or None if the URL is invalid.

    Args:
        text: The URL.
        instead: The setting that makes a home directory unnecessary, for the error.

    Raises:
        ConfigurationError: There is no such home directory.
    """
    try:
        url = sa.make_url(text.value)
    except (SQLAlchemyError, ValueError, TypeError):
        return None
    if url.get_backend_name() != "sqlite" or url.database in {None, "", ":memory:"}:
        return url
    name = expand(url.database or "", instead)
    if name.startswith("file:"):
        # Without this, SQLite would use the whole URI as a file name.
        return url.set(database=name).update_query_dict({"uri": "true"})
    return url.set(database=str(Path(name).absolute()))


def sqlite_file(url: sa.URL) -> Path | None:
    """Return the file of an SQLite URL, or None for a database in memory."""
    name = url.database or ""
    if name.startswith("file:"):
        parts = urlsplit(name)
        query = {**dict(parse_qsl(parts.query)), **url.query}
        name = unquote(parts.path)
        if query.get("mode") == "memory":
            return None
    return None if name in {"", ":memory:"} else Path(name).absolute()


def location(url: sa.URL) -> str:
    """Return the location of a database for messages, without user, password and options."""
    backend = url.get_backend_name()
    if backend == "sqlite":
        return url.database or ":memory:"
    # A libpq connection string may follow the last slash.
    name = "***" if _PASSWORD.search(url.database or "") else url.database or ""
    host = url.host or url.query.get("host", "localhost")
    port = url.port or (5432 if backend == "postgresql" else None)
    return f"{backend}://{host}{f':{port}' if port else ''}/{name}"


def has_stray_at(url: sa.URL) -> bool:
    """Return whether a password with an unescaped @ has become part of the host or the database.

    Do not show the location of such a URL.
    """
    return url.get_backend_name() != "sqlite" and "@" in f"{url.host}{url.database}"


def has_password(text: str) -> bool:
    """Return whether a database URL contains a password."""
    try:
        url = sa.make_url(text)
    except (SQLAlchemyError, ValueError):
        if PATH.match(text):
            return False
        return _PASSWORD.search(text) is not None or ("://" in text and "@" in text)
    # libpq's passfile is a file name, not a password.
    if url.get_backend_name() != "sqlite" and _PASSWORD.search(url.database or ""):
        return True
    return bool(url.password) or any(
        "pass" in name.lower() and not name.lower().endswith("file") for name in url.query
    )


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
