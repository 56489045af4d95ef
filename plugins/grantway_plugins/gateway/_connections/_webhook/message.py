"""Webhook messages about broken connections, and the jobs that deliver them."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from grantway_plugins.gateway._connections.records import Job

if TYPE_CHECKING:
    from grantway_plugins.gateway._connections.details import Details

#: Start of the ids of jobs; the rest is the id of the message.
PREFIX = "webhook "


@dataclass(frozen=True, slots=True)
class BrokenMessage:
    """A message that a connection is broken. Contains no secret and no personal data.

    Attributes:
        id: Identifier of the message, the same for each attempt.
        user: ``User.id`` of the user.
        provider: Name of the provider.
        reason: Error code of the provider, or ``expired``.
        at: Time of the event in seconds since the epoch.
    """

    id: str
    user: str
    provider: str
    reason: str
    at: float

    @classmethod
    def new(cls, user: str, provider: str, reason: str, at: float) -> Self:
        """Return a message with a new identifier."""
        return cls(f"msg_{secrets.token_hex(16)}", user, provider, reason, at)

    @classmethod
    def of(cls, job: Job) -> Self:
        """Return the message that a job delivers."""
        return cls(job.id.removeprefix(PREFIX), **json.loads(job.payload))

    def job(self) -> Job:
        """Return the job that delivers the message."""
        rest = {"user": self.user, "provider": self.provider, "reason": self.reason, "at": self.at}
        # Not encrypted: nothing in it is secret, and it must be readable after a key was removed.
        return Job(PREFIX + self.id, self.at, json.dumps(rest))

    def body(self, details: Details, connect_url: str) -> bytes:
        """Return the body.

        Args:
            details: Details of the connection, which name the user.
            connect_url: URL at which the user can connect the account again.
        """
        data: dict[str, Any] = {"provider": self.provider, "user": self.user}
        if details.user is not None:
            data |= {"issuer": details.user.issuer, "subject": details.user.subject}
        data |= {"reason": self.reason, "connect_url": connect_url}
        at = datetime.fromtimestamp(self.at, UTC).isoformat(timespec="milliseconds")
        message = {
            "type": "connection.broken",
            "timestamp": at.replace("+00:00", "Z"),
            "data": data,
        }
        return json.dumps(message).encode()
