"""The contract of the records of connections, which several gateways share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from grantway._processes.copies import Value

from .connection import Connection, ConnectionEvent


@dataclass(frozen=True, slots=True)
class Job(Value):
    """Work that one of the gateways does at a certain time, such as sending a webhook.

    Attributes:
        id: Identifier. Scheduling a job with the same one replaces it.
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
    ``StoreError`` if a change was not saved.
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

    async def put(self, connection: Connection) -> None:
        """Save a connection in place of any earlier one; its version becomes one higher."""
        ...

    async def change(self, connection: Connection) -> bool:
        """Save a connection if its version is still the saved one, and increase the version.

        Returns:
            Whether it was saved. Otherwise another gateway was faster; nothing was changed.
        """
        ...

    async def remove(self, user: str, provider: str) -> bool:
        """Remove a connection; return whether it existed."""
        ...

    async def claim_due(self, now: float, *, lease: float, limit: int) -> Sequence[Connection]:
        """Return working connections with ``due_at`` not after ``now``, earliest first.

        Their ``due_at`` becomes ``now + lease``, so that no other gateway gets them before.
        """
        ...

    # --- Jobs -------------------------------------------------------------------------------------

    async def schedule(self, job: Job) -> None:
        """Save a job."""
        ...

    async def claim_jobs(self, now: float, *, lease: float, limit: int) -> Sequence[Job]:
        """Return due jobs with one more attempt, and postpone them by ``lease`` seconds.

        A job whose gateway dies is therefore done by another one. Work may be done twice, but is
        never lost.
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
        """Append events to the audit trail."""
        ...

    async def history(self, user: str, limit: int = 50) -> Sequence[ConnectionEvent]:
        """Return the last events of a user, newest first."""
        ...

    async def prune(self, now: float, *, audit_seconds: float) -> None:
        """Remove expired values and old events, in small steps."""
        ...

    async def close(self) -> None:
        """Close the connections to the database."""
        ...
