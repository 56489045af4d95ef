"""The issuer's store: one thread that runs all database transactions.

Requests that arrive while a transaction runs share the next one (group commit). Responses are sent
after the commit. If a request fails unexpectedly, the transaction is rolled back and every request
runs again in a separate transaction, so that only the failing request is affected.
"""

from __future__ import annotations

import asyncio
import logging
import math
import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Protocol, TypeVar

import sqlalchemy as sa
from cachetools import TTLCache
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from grantway._processes.copies import OneProcess
from grantway._secrets.hidden_arguments import hides_construction
from grantway_plugins._sql.failures import is_lock_conflict
from grantway_plugins._sql.urls import sqlite_file
from grantway_plugins.issuer._decisions.randomness import family_digest

from . import tables
from .checkpoint import Checkpointer
from .database import Durability, open_database
from .errors import (
    DatabaseBusyError,
    DatabaseError,
    DatabaseOutcomeUnknownError,
    database_error,
)
from .jobs import DATABASE_TIMEOUT, Done, Job, LoopJobs, Outcome, deliver, resolving
from .pruning import Pruning
from .records import RegisteredClient
from .transaction import Transaction
from .writer import Writer

T = TypeVar("T")
UnitOfWork = Callable[[Transaction], T]

#: Maximum number of requests that share a transaction.
BATCH_SIZE = 64
CLIENT_CACHE_SIZE = 4096
#: Seconds until a client is read again, because another process may have rotated its secret.
CLIENT_CACHE_SECONDS = 5.0

_log = logging.getLogger("grantway.issuer")


class StoreWatch(Protocol):
    """Receives measurements of the database."""

    def committed(self, outcomes: Sequence[Outcome], seconds: float) -> None:
        """Record a transaction, with the outcomes of the requests that shared it."""
        ...

    def pruned(self, rows: int) -> None:
        """Record deleted rows."""
        ...


@hides_construction  # the database's URL may contain a password
class IssuerStore(OneProcess):
    """Runs the issuer's database transactions in one thread.

    Args:
        database: A path, ``:memory:``, or an SQLAlchemy URL with ``://``.
        durability: ``process`` or ``power``, see ``open_database``.
        clock: Seconds since the epoch, for pruning.
        unused_registration: Lifetime of an anonymous registration that never received a token, in
            seconds.

    Raises:
        DatabaseError: the database cannot be used. Nothing was changed.
    """

    def __init__(
        self,
        database: str | Path,
        *,
        durability: Durability = "process",
        clock: Callable[[], float] = time.time,
        unused_registration: float = math.inf,
    ) -> None:
        self._unused_registration = unused_registration
        self._engine = open_database(database, durability=durability)
        driver = self._engine.dialect.loaded_dbapi
        self._driver_error: type[Exception] = driver.Error
        #: Shared by every issuer on this database; see ``Sessions``.
        self.form_key = self._read_form_key()
        #: Receives measurements, in the store's thread.
        self.watch: StoreWatch | None = None
        #: Returns seconds since the epoch.
        self.clock = clock
        path = self._engine.url.database if self._engine.dialect.name == "sqlite" else None
        self._checkpointer = Checkpointer(path) if path else None
        self._known_clients: TTLCache[str, RegisteredClient] = TTLCache(
            CLIENT_CACHE_SIZE, ttl=CLIENT_CACHE_SECONDS, timer=time.monotonic
        )
        is_sqlite = self._engine.dialect.name == "sqlite"
        #: The SQLite file, or None.
        self.file = sqlite_file(self._engine.url) if is_sqlite else None
        #: Whether the database is in the memory of this process.
        self.in_memory = is_sqlite and self.file is None
        self._writer = Writer(self._engine)
        self._pruning = Pruning()
        self._loop_jobs: LoopJobs | None = None
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._closed = False
        self._closing = threading.Lock()
        self._thread = threading.Thread(target=self._serve, name="grantway-store", daemon=True)
        self._thread.start()

    def run(self, work: UnitOfWork[T]) -> T:
        """Run a unit of work in a transaction and block until it is committed.

        Args:
            work: Called with the transaction. It may be called twice, so it must have no other
                side effects.

        Raises:
            DatabaseError: the database failed and the work was rolled back.
        """
        future: Future[T] = Future()
        self._submit([Job(work, resolving(future))])
        return future.result()

    async def arun(self, work: UnitOfWork[T]) -> T:
        """Run a unit of work in a transaction and await its commit.

        Args:
            work: Called with the transaction. It may be called twice, so it must have no other
                side effects.

        Raises:
            DatabaseError: the database failed or did not respond within ``DATABASE_TIMEOUT``
                seconds. The work was rolled back, except for ``DatabaseOutcomeUnknownError``.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        job = self.start(work, resolving(future))
        try:
            return await future
        except asyncio.CancelledError:
            job.give_up()
            raise

    def waiting(self) -> int:
        """Return the number of units of work that wait for a transaction."""
        return self._jobs.qsize()

    def start(self, work: UnitOfWork[T], done: Done, *, refresh_token: str | None = None) -> Job:
        """Run a unit of work in a transaction, like ``arun``, without a coroutine.

        Args:
            work: Called with the transaction. It may be called twice, so it must have no other
                side effects.
            done: Called in the running event loop with the result after the commit, or with an
                error.
            refresh_token: A refresh token that the work reads, if any. The tokens of all work in a
                transaction are read together if the database is a server.
        """
        loop = asyncio.get_running_loop()
        if self._loop_jobs is None or self._loop_jobs.loop is not loop:
            self._loop_jobs = LoopJobs(loop, self._submit)
        return self._loop_jobs.add(Job(work, done, self._loop_jobs, refresh_token))

    def close(self) -> None:
        """Finish the pending work, then close the database. May be called again."""
        with self._closing:
            if not self._closed:
                self._closed = True
                self._jobs.put(None)
        self._thread.join(DATABASE_TIMEOUT)
        if self._thread.is_alive():
            _log.warning(
                "The database did not respond within %g seconds; the store closes without waiting "
                "for it",
                DATABASE_TIMEOUT,
            )

    def _read_form_key(self) -> bytes:
        with self._engine.connect() as connection:
            return bytes(connection.scalars(sa.select(tables.form_key.c.key)).one())

    def _submit(self, jobs: Iterable[Job]) -> None:
        with self._closing:
            if self._closed:
                raise DatabaseError("The store is closed")
            for job in jobs:
                self._jobs.put(job)

    def _serve(self) -> None:
        prune_at = time.monotonic()
        open_for_work, busy = True, False
        while open_for_work:
            batch: list[Job] = []
            try:
                job = self._jobs.get(timeout=max(0.0, prune_at - time.monotonic()))
                while job is not None:
                    batch.append(job)
                    if len(batch) == BATCH_SIZE:
                        break
                    job = self._jobs.get_nowait()
                else:
                    open_for_work = False
            except queue.Empty:
                pass
            batch = [job for job in batch if job.begin()]
            if batch:
                busy = True
                begun = time.perf_counter()
                outcomes = self._commit(batch)
                if self.watch is not None:
                    self.watch.committed(outcomes, time.perf_counter() - begun)
                deliver(outcomes)
                if self._checkpointer is not None:
                    self._checkpointer.changed()
            if time.monotonic() >= prune_at:
                prune_at = self._prune(busy=busy) + time.monotonic()
                busy = False
        if self._checkpointer is not None:
            self._checkpointer.stop()
        self._writer.close()

    def _commit(self, batch: list[Job], *, reconnect: bool = True) -> list[Outcome]:
        """Run a batch in one transaction and return the outcomes after the commit.

        Args:
            batch: The units of work.
            reconnect: Whether to retry on a new connection if the old one was lost before the
                commit, for example because the database was restarted.
        """
        committing = False
        try:
            cursor = self._writer.begin(shared=len(batch) > 1)
            transaction = Transaction(cursor, self._known_clients, self.clock)
            tokens = [job.refresh_token for job in batch if job.refresh_token is not None]
            if len(tokens) > 1 and self._writer.has_batches:
                transaction.prefetch(map(family_digest, tokens))
            outcomes: list[Outcome] = [(job, job.work(transaction), None) for job in batch]
            with self._writer.batching():
                transaction.flush()
            committing = True
            self._writer.commit()
        except Exception as failed:  # noqa: BLE001 - one request must not fail the others
            lost = self._roll_back(failed)
            if lost and not committing and reconnect:
                return self._commit(batch, reconnect=False)
            error = self._as_database_error(failed)
            if lost and committing:
                # Running the work again could find a code that the first run redeemed, take it for
                # a replay and revoke the login.
                error = DatabaseOutcomeUnknownError("The connection was lost during a commit")
            busy = isinstance(error, DatabaseBusyError) and not is_lock_conflict(failed)
            if lost or busy or len(batch) == 1:
                return [(job, None, error) for job in batch]
        else:
            return outcomes
        return [outcome for job in batch for outcome in self._commit([job])]

    def _prune(self, *, busy: bool) -> float:
        """Delete some expired rows; return the seconds until the next deletion."""
        began = time.monotonic()
        try:
            transaction = Transaction(self._writer.begin(), self._known_clients, self.clock)
            count = transaction.prune(self.clock(), self._unused_registration, self._pruning)
            deleted = time.monotonic()
            self._writer.commit()
        except (SQLAlchemyError, self._driver_error) as failed:
            self._roll_back(failed)
            _log.warning("Pruning failed and will be retried: %s", self._as_database_error(failed))
            return self._pruning.restart()
        if self.watch is not None:
            self.watch.pruned(count)
        if count and self._checkpointer is not None:
            self._checkpointer.changed()
        return self._pruning.pause(deleted - began, time.monotonic() - deleted, busy=busy)

    def _roll_back(self, failed: Exception) -> bool:
        """Roll a failed transaction back; return whether the connection was lost."""
        cause = failed.orig if isinstance(failed, DBAPIError) else failed
        lost = isinstance(cause, self._driver_error) and self._writer.is_lost(cause)
        if lost:
            self._writer.disconnect()
        else:
            self._writer.roll_back()
        return lost

    def _as_database_error(self, failed: Exception) -> Exception:
        """Return the `DatabaseError` for a driver's error; return other errors unchanged."""
        cause = failed.orig if isinstance(failed, DBAPIError) else failed
        return database_error(cause) if isinstance(cause, self._driver_error) else failed
