"""The contract of the records of connections, which several gateways share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from grantway._processes.copies import Value

from .connection import Connection, ConnectionEvent

#: Connections that are listed at once.
_PAGE = 200


@dataclass(frozen=True, slots=True)
class Job(Value):
    """Work that one of the gateways does at a certain time, such as sending a webhook.

    Attributes:
        id: Identifier. Scheduling a job with the same one replaces it, so give different work
            different identifiers.
        due_at: Time in seconds since the epoch.
        payload: Encrypted description of the work.
        attempts: Number of earlier claims.
    """

    id: str
    due_at: float
    payload: str = field(repr=False)
    attempts: int = 0


class ConnectionRecords(Protocol):
    """Keeps connections, jobs, short-lived values and the audit trail.

    It does not keep tokens; those are in the gateway's store. All methods are called in event
    loops, by several gateways at once. Times are seconds since the epoch.

    All methods raise ``StoreUnreadableError`` if the database cannot be reached or read, and
    ``StoreError`` if a change was not saved. A method whose response was lost may send its change
    again. Then ``put``, ``change`` and ``record`` have the same effect as once, ``schedule`` may
    make a claimed job due again, and ``remove`` may return False and ``take`` None, although they
    removed something.

    ``put``, ``change`` and ``remove`` also save audit events and jobs. Either everything is saved
    or nothing, so that a gateway that dies cannot lose the webhook of a change.
    """

    # --- Connections ------------------------------------------------------------------------------

    async def connection(self, user: str, provider: str) -> Connection | None:
        """Return a connection, or None."""
        ...

    async def connections(self, user: str) -> Sequence[Connection]:
        """Return all connections of a user, sorted by provider."""
        ...

    async def page(self, after: str = "", limit: int = 100) -> Sequence[Connection]:
        """Return connections in the order of their ids, starting after the given id."""
        ...

    async def counts(self) -> dict[tuple[str, str], int]:
        """Return the number of connections by provider and state."""
        ...

    async def put(
        self,
        connection: Connection,
        *,
        events: Sequence[ConnectionEvent] = (),
        jobs: Sequence[Job] = (),
    ) -> None:
        """Save a connection in place of any earlier one; it gets a new version."""
        ...

    async def change(
        self,
        connection: Connection,
        *,
        events: Sequence[ConnectionEvent] = (),
        jobs: Sequence[Job] = (),
    ) -> bool:
        """Save a connection if its version is still the saved one; it gets a new version.

        Returns:
            Whether it was saved. Otherwise another gateway was faster; nothing was changed.
        """
        ...

    async def remove(
        self,
        user: str,
        provider: str,
        *,
        events: Sequence[ConnectionEvent] = (),
        jobs: Sequence[Job] = (),
    ) -> bool:
        """Remove a connection; return whether it existed. Otherwise nothing is saved either."""
        ...

    async def claim_due(self, now: float, *, lease: float, limit: int) -> Sequence[Connection]:
        """Return working connections with ``due_at`` not after ``now``, in any order.

        The earliest ones are returned if there are more than ``limit``. Their ``due_at`` becomes
        ``now + lease`` and they get a new version, so that no other gateway gets them before, and
        no change that another gateway has begun can undo the claim.
        """
        ...

    # --- Jobs -------------------------------------------------------------------------------------

    async def schedule(self, job: Job) -> None:
        """Save a job in place of any earlier one with its identifier."""
        ...

    async def claim_jobs(self, now: float, *, lease: float, limit: int) -> Sequence[Job]:
        """Return due jobs in any order with one more attempt each.

        The earliest ones are returned if there are more than ``limit``. Their ``due_at`` becomes
        ``now + lease``. A job whose gateway dies is therefore done by another one. Work may be done
        twice, but is never lost.
        """
        ...

    async def finish(self, job_id: str) -> None:
        """Remove a job; a missing one is not an error."""
        ...

    # --- Short-lived values -----------------------------------------------------------------------

    async def keep(self, key: str, value: str, expires_at: float) -> None:
        """Save an encrypted value, such as a session, until a time."""
        ...

    async def kept(self, key: str, now: float) -> str | None:
        """Return a value that has not expired, or None."""
        ...

    async def take(self, key: str, now: float) -> str | None:
        """Remove a value and return it; among concurrent callers, only one gets it."""
        ...

    # --- Audit trail ------------------------------------------------------------------------------

    async def record(self, events: Sequence[ConnectionEvent]) -> None:
        """Add events to the audit trail."""
        ...

    async def history(self, user: str, limit: int = 50) -> Sequence[ConnectionEvent]:
        """Return the last events of a user, by their time, newest first."""
        ...

    async def prune(self, now: float, *, audit_seconds: float) -> None:
        """Remove expired values, and events older than ``audit_seconds``, in small steps."""
        ...

    async def close(self) -> None:
        """Close the connections to the database."""
        ...


async def pages(records: ConnectionRecords) -> AsyncIterator[Sequence[Connection]]:
    """Yield all connections in lists of some hundred."""
    after = ""
    while page := await records.page(after, _PAGE):
        yield page
        after = page[-1].id
