"""Units of work on their way to the store's thread and back.

Requests that an event loop reads together are handed over together, and their results come back
with one wake-up. One timer limits the waiting times of all. For requests this short, separate
wake-ups and timers would take longer than the database.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any

from .errors import DatabaseError, DatabaseOutcomeUnknownError, DatabaseUnreachableError
from .transaction import Transaction

#: Seconds that a request waits for the database, and that closing a store waits for its requests.
DATABASE_TIMEOUT = 10.0

#: Receives the result of a unit of work, or its error.
Done = Callable[[Any, Exception | None], None]

_log = logging.getLogger("grantway.issuer")


class Job:
    """A unit of work and the receiver of its result.

    Args:
        work: Called with the transaction.
        done: Called once, unless the caller gives up.
        loop_jobs: Calls ``done`` in an event loop; None calls it in the store's thread.
        refresh_token: A refresh token that the work reads, if any.
    """

    __slots__ = ("begun", "deadline", "done", "given_up", "loop_jobs", "refresh_token", "work")

    def __init__(
        self,
        work: Callable[[Transaction], Any],
        done: Done,
        loop_jobs: LoopJobs | None = None,
        refresh_token: str | None = None,
    ) -> None:
        self.work = work
        self.done = done
        self.loop_jobs = loop_jobs
        self.refresh_token = refresh_token
        self.deadline = 0.0
        self.begun = False
        self.given_up = False

    def begin(self) -> bool:
        """Mark the work as begun; return False if its caller has given up."""
        # Set before the check: a caller that gives up now either sees the mark or is noticed here.
        self.begun = True
        return not self.given_up

    def give_up(self) -> None:
        """Drop the result, and do not run the work if it has not begun."""
        self.given_up = True
        if self.loop_jobs is not None:
            self.loop_jobs.forget(self)


#: A job, and its result or its error.
Outcome = tuple[Job, Any, Exception | None]


class LoopJobs:
    """The jobs of one event loop. Use it in this loop, except for `send_back`.

    Args:
        loop: The event loop.
        submit: Queues jobs for the store's thread; raises ``DatabaseError`` if the store is closed.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, submit: Callable[[Iterable[Job]], None]
    ) -> None:
        self.loop = loop
        self._submit = submit
        self._gathered: list[Job] = []
        self._waiting: dict[Job, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, job: Job) -> Job:
        """Run a job in a transaction, together with others that arrive at the same time."""
        if not self._gathered:
            # Runs after the requests that have already arrived were read.
            self.loop.call_soon(self._hand_over)
        self._gathered.append(job)
        return job

    def forget(self, job: Job) -> None:
        """Stop the time limit of a job."""
        self._waiting.pop(job, None)

    def send_back(self, outcomes: list[Outcome]) -> None:
        """Call the receivers in the event loop; may be called in any thread."""
        try:
            self.loop.call_soon_threadsafe(self._receive, outcomes)
        except RuntimeError:
            _log.warning("A server stopped before it could send %d responses", len(outcomes))

    def _hand_over(self) -> None:
        jobs, self._gathered = [job for job in self._gathered if not job.given_up], []
        deadline = self.loop.time() + DATABASE_TIMEOUT
        for job in jobs:
            job.deadline = deadline
            self._waiting[job] = None
        if self._timer is None:
            self._timer = self.loop.call_at(deadline, self._expire)
        try:
            self._submit(jobs)
        except DatabaseError as closed:
            self._receive([(job, None, closed) for job in jobs])

    def _receive(self, outcomes: list[Outcome]) -> None:
        for job, result, error in outcomes:
            if not job.given_up:
                self.forget(job)
                _finish(job, result, error)

    def _expire(self) -> None:
        """End the waiting of jobs whose time is over, and wait for the next one."""
        self._timer = None
        now = self.loop.time()
        for job in list(self._waiting):  # oldest first
            if job.deadline > now:
                self._timer = self.loop.call_at(job.deadline, self._expire)
                break
            job.give_up()
            kind = DatabaseOutcomeUnknownError if job.begun else DatabaseUnreachableError
            error = kind(f"The database did not respond within {DATABASE_TIMEOUT:g} seconds")
            _finish(job, None, error)


def _finish(job: Job, result: Any, error: Exception | None) -> None:
    try:
        job.done(result, error)
    except Exception as failed:  # noqa: BLE001 - the other jobs must get their results
        _log.error("A request failed after its transaction: %s", type(failed).__name__)


def resolving(future: Future[Any] | asyncio.Future[Any]) -> Done:
    """Return a receiver that resolves a future."""

    def done(result: Any, error: Exception | None) -> None:
        if future.done():  # cancelled, and the caller is not running yet
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    return done


def deliver(outcomes: list[Outcome]) -> None:
    """Pass the results on, waking each event loop once."""
    loops: dict[LoopJobs, list[Outcome]] = {}
    for outcome in outcomes:
        job, result, error = outcome
        if job.loop_jobs is None:
            job.done(result, error)
        else:
            loops.setdefault(job.loop_jobs, []).append(outcome)
    for loop_jobs, pending in loops.items():
        loop_jobs.send_back(pending)
