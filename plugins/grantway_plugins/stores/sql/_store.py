"""A store that processes or machines share: an SQLite file, or a PostgreSQL database."""

from __future__ import annotations

import logging
import time
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from grantway._credentials.token_format import decode_token, encode_token
from grantway._exceptions import (
    LeaseLostError,
    StoreError,
    StoreSaveError,
    StoreUnreadableError,
)
from grantway._processes.copies import OneProcess
from grantway._secrets.masked import Masked
from grantway_plugins.stores._shared.lease import REMEMBERED, checked, held
from grantway_plugins.stores._shared.lifetime import checked_keep_for, lifetime

from ._database import SqlDatabase, SqlLease, digest

if TYPE_CHECKING:
    from grantway._types.token import Token

#: Seconds between two removals of the rows that are needed no more.
_FORGET_EVERY = 600.0

_log = logging.getLogger("grantway")


class SqlStore(OneProcess):
    """Keeps tokens in an SQLite file for one machine, or in PostgreSQL for many.

    Its two tables are made when it is first used. A saved token is on the database's disk: the
    file is written with ``synchronous=FULL``, and ``synchronous_commit`` of PostgreSQL is never
    ``off``. A process that was forked may use it on; so may any number of threads.

    Args:
        url: As SQLAlchemy takes it: ``sqlite:////PATH/TO/tokens.sqlite3``, or
            ``postgresql+psycopg://USER:PASSWORD@HOST:PORT/DATABASE``.
        prefix: What the names of its tables begin with.
        lease: Seconds until the lock of a holder that died is free, from 0.2 to 3600. Renewed each
            third of it while its holder lives. Less than the client's ``timeout``, or who waits
            gives up before it is free.
        keep_for: Seconds after which a token that was not saved anew is forgotten, from 3600. None
            keeps a refresh token until it is deleted. A token without one is forgotten once it has
            ended, though not within an hour.
        timeout: Seconds that a statement may take, and that a caller waits for a free connection.
        connections: Connections that are kept open at most.
        allow_insecure: Whether to accept a PostgreSQL server on another host without TLS
            (``sslmode=require`` or stricter), which sends tokens and the password in the clear.

    Raises:
        ConfigurationError: an option cannot be what it is. No database is asked yet.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "grantway_store_",
        lease: float = 10.0,
        keep_for: float | None = None,
        timeout: float = 5.0,
        connections: int = 8,
        allow_insecure: bool = False,
    ) -> None:
        address = Masked(url)
        del url  # a report that shows the locals of a traceback would show its password
        # First, for the repr of a store that cannot be made.
        self._where, self._prefix = "not open", prefix
        self._lease = checked(lease)
        self._keep_for = checked_keep_for(keep_for)
        self._database = SqlDatabase(
            address,
            prefix=prefix,
            timeout=timeout,
            connections=connections,
            allow_insecure=allow_insecure,
        )
        self._where = self._database.where
        self._forget_at = time.monotonic()

    def load(self, key: str) -> Token | None:
        """See ``grantway.Store``."""
        rows, problem = self._database.ask(self._database.do.load, {"of": digest(key)})
        if problem:
            raise StoreUnreadableError(f"{self._where}: cannot be read: {problem}.")
        if not rows.value or rows.value[0][0] is None:
            return None
        return decode_token(rows.value[0][0], f"{self._where}, key {key!r}")

    def save(self, key: str, token: Token, *, fence: int = 0) -> None:
        """See ``grantway.Store``; when it returns, the token is on the database's disk."""
        life = lifetime(token, self._keep_for, least=REMEMBERED + self._lease)
        problem = self._change(key, Masked(encode_token(token)), fence, life)
        if problem:
            raise StoreSaveError(f"{self._where}: the token was not saved: {problem}.")
        self._forget()

    def delete(self, key: str, *, fence: int = 0) -> None:
        """See ``grantway.Store``."""
        problem = self._change(key, Masked(None), fence, REMEMBERED + self._lease)
        if problem:
            raise StoreError(f"{self._where}: the token was not deleted: {problem}.")

    def lock(self, key: str, timeout: float) -> AbstractContextManager[int]:
        """See ``grantway.Store``; among all who name the same database and prefix."""
        return held(
            SqlLease(self._database, key, self._lease),
            seconds=self._lease,
            timeout=timeout,
            where=f"{self._where}, lock of {key!r}",
        )

    def close(self) -> None:
        """Close the connections; those that are asked for later are opened anew."""
        self._database.close()

    def __repr__(self) -> str:
        return f"SqlStore({self._where}, prefix={self._prefix!r})"

    def _change(
        self, key: str, record: Masked[bytes] | Masked[None], fence: int, life: float | None
    ) -> str:
        values = Masked(
            {
                "of": digest(key),
                "kept": record.value,
                "given": fence,
                "life": None if life is None else int(life * 1000),
            }
        )
        rows, problem = self._database.ask(self._database.do.change, values)
        if not problem and not rows.value:
            raise LeaseLostError(
                f"{self._where}, key {key!r}: a later holder of the lock has saved or deleted; "
                "nothing was changed. Read the store again."
            )
        return problem

    def _forget(self) -> None:
        if time.monotonic() < self._forget_at:
            return
        self._forget_at = time.monotonic() + _FORGET_EVERY
        _rows, problem = self._database.ask(self._database.do.forget, {})
        if problem:
            _log.warning("%s: what is needed no more was not removed: %s.", self._where, problem)
