"""A store in an SQLite file or a PostgreSQL database, shared by processes or machines."""

from __future__ import annotations

import logging
import time
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import TYPE_CHECKING, Any

from grantway._credentials.token_format import decode_token, encode_token
from grantway._exceptions import (
    LeaseLostError,
    StoreError,
    StoreSaveError,
    StoreUnreadableError,
)
from grantway._processes.copies import OneProcess
from grantway._secrets.masked import Masked
from grantway_plugins._databases.steps import Steps, run, run_async
from grantway_plugins._sql.database import Database, Statement
from grantway_plugins.stores._shared.lease import (
    REMEMBERED,
    check_lease,
    hold_lease,
    hold_lease_async,
)
from grantway_plugins.stores._shared.lifetime import check_keep_for, lifetime

from ._lease import SqlLease, digest
from ._statements import Statements
from ._tables import tables

if TYPE_CHECKING:
    from grantway._types.token import Token

#: Seconds between two removals of expired rows.
_CLEANUP_INTERVAL = 600.0

_log = logging.getLogger("grantway")


class SqlStore(OneProcess):
    """Stores tokens in an SQLite file for one machine, or in PostgreSQL for many.

    The two tables are created on first use. A saved token is on the database's disk: SQLite writes
    with ``synchronous=FULL``, and PostgreSQL's ``synchronous_commit`` is never ``off``. The store
    is thread-safe and fork-safe. In an event loop, PostgreSQL with psycopg needs no thread, except
    that host names are looked up in one; SQLite and other drivers run in threads.

    Args:
        url: SQLAlchemy URL: ``sqlite:////PATH/TO/tokens.sqlite3``, or
            ``postgresql+psycopg://USER:PASSWORD@HOST:PORT/DATABASE``.
        prefix: Prefix of the table names.
        lease: Seconds until the lock of a holder that died expires, from 0.2 to 3600. A live
            holder extends its lease every third of this time. Must be less than the client's
            ``timeout``, or waiting callers give up before the lease expires.
        keep_for: Seconds after its last save when a token is removed, from 3600. None keeps tokens
            with a refresh token until they are deleted. Tokens without one are removed after they
            expire, but not within an hour of the save.
        timeout: Seconds that a statement may take, and that a caller waits for a free connection.
        connections: Maximum number of open connections of the threads, and of each event loop.
        allow_insecure: Whether to accept a PostgreSQL server on another host without TLS (that is,
            without ``sslmode=require`` or stricter), which sends tokens and the password in clear
            text.

    Raises:
        ConfigurationError: An option is invalid. The constructor does not connect.
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
        del url  # error reports that print the locals of each frame would reveal the password
        # Set first, because error reports may call __repr__ if the constructor fails.
        self._where, self._prefix = "not open", prefix
        self._lease = check_lease(lease)
        self._keep_for = check_keep_for(keep_for)
        own = tables(prefix)
        self._database = Database(
            address,
            tables=own,
            timeout=timeout,
            connections=connections,
            allow_insecure=allow_insecure,
        )
        self._where = self._database.where
        self._statements = Statements(own.content[0], self._database.engine.dialect.name)
        self._next_cleanup = time.monotonic()

    def load(self, key: str) -> Token | None:
        """Load a token; see ``grantway.Store``."""
        return run(self._load(key), self._database.run)

    async def load_async(self, key: str) -> Token | None:
        """See ``load``."""
        return await run_async(self._load(key), self._database.run_async)

    def save(self, key: str, token: Token, *, fence: int = 0) -> None:
        """Save the token to the database's disk; see ``grantway.Store``."""
        run(self._save(key, token, fence), self._database.run)

    async def save_async(self, key: str, token: Token, *, fence: int = 0) -> None:
        """See ``save``."""
        await run_async(self._save(key, token, fence), self._database.run_async)

    def delete(self, key: str, *, fence: int = 0) -> None:
        """Delete a token; see ``grantway.Store``."""
        run(self._delete(key, fence), self._database.run)

    async def delete_async(self, key: str, *, fence: int = 0) -> None:
        """See ``delete``."""
        await run_async(self._delete(key, fence), self._database.run_async)

    def lock(self, key: str, timeout: float) -> AbstractContextManager[int]:
        """Lock the key among all users of the same database and prefix."""
        return hold_lease(self._lease_of(key), self._database.run, **self._terms(key, timeout))

    def lock_async(self, key: str, timeout: float) -> AbstractAsyncContextManager[int]:
        """See ``lock``."""
        lease = self._lease_of(key)
        return hold_lease_async(lease, self._database.run_async, **self._terms(key, timeout))

    def close(self) -> None:
        """Close the connections of threads. Later calls open new ones.

        The connections of an event loop are closed when ``asyncio.run`` ends, or with
        ``close_async`` on that loop.
        """
        self._database.close()

    async def close_async(self) -> None:
        """Close the connections of the running event loop. Later calls open new ones."""
        await self._database.close_async()

    def __repr__(self) -> str:
        return f"SqlStore({self._where}, prefix={self._prefix!r})"

    def _load(self, key: str) -> Steps[Token | None]:
        rows, problem = yield Statement(self._statements.load, {"digest": digest(key)})
        if problem:
            raise StoreUnreadableError(f"{self._where}: cannot be read: {problem}.")
        if not rows.value or rows.value[0][0] is None:
            return None
        return decode_token(rows.value[0][0], f"{self._where}, key {key!r}")

    def _save(self, key: str, token: Token, fence: int) -> Steps[None]:
        life = lifetime(token, self._keep_for, least=REMEMBERED + self._lease)
        problem = yield from self._change(key, Masked(encode_token(token)), fence, life)
        if problem:
            raise StoreSaveError(f"{self._where}: the token was not saved: {problem}.")
        yield from self._remove_expired()

    def _delete(self, key: str, fence: int) -> Steps[None]:
        problem = yield from self._change(key, Masked(None), fence, REMEMBERED + self._lease)
        if problem:
            raise StoreError(f"{self._where}: the token was not deleted: {problem}.")

    def _change(
        self, key: str, record: Masked[bytes] | Masked[None], fence: int, life: float | None
    ) -> Steps[str]:
        change = Statement(
            self._statements.change,
            {
                "digest": digest(key),
                "new_record": record.value,
                "new_fence": fence,
                "life": None if life is None else int(life * 1000),
            },
        )
        rows, problem = yield change
        if not problem and not rows.value:
            raise LeaseLostError(
                f"{self._where}, key {key!r}: a later holder of the lock has saved or deleted the "
                "token; nothing was changed. Load the token again."
            )
        return str(problem)

    def _remove_expired(self) -> Steps[None]:
        if time.monotonic() < self._next_cleanup:
            return
        self._next_cleanup = time.monotonic() + _CLEANUP_INTERVAL
        _rows, problem = yield Statement(self._statements.remove_expired)
        if problem:
            _log.warning("%s: cannot remove expired rows: %s.", self._where, problem)

    def _lease_of(self, key: str) -> SqlLease:
        return SqlLease(self._statements, self._where, key, self._lease)

    def _terms(self, key: str, timeout: float) -> dict[str, Any]:
        where = f"{self._where}, lock of {key!r}"
        return {"seconds": self._lease, "timeout": timeout, "where": where}
