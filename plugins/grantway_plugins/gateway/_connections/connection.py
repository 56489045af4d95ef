"""A connection of a user to a provider, and the events in its life."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from grantway._processes.copies import Value

#: ``broken``: the provider rejected the refresh token, so the user has to connect again.
State = Literal["connected", "broken"]
#: Reason of a broken connection that ended without a rejection by the provider.
EXPIRED = "expired"
EventName = Literal[
    "connected", "reconnected", "used", "refreshed", "broken", "disconnected", "revoked"
]


@dataclass(frozen=True, slots=True)
class Connection(Value):
    """The record of a connection. Its token is in the gateway's store, not here.

    Attributes:
        user: ``User.id`` of the user.
        provider: Name of the provider in the gateway's file.
        state: Whether the connection works.
        connected_at: Time of the last successful login in seconds since the epoch.
        refreshed_at: Time of the last new token.
        used_at: Approximate time of the last use by a request, or None.
        due_at: Time at which the token should be refreshed if nothing has refreshed it before;
            infinity for never.
        details: Encrypted JSON object with the user's issuer and subject, the name of the account
            at the provider, and the granted scope.
        version: Random number that each change and claim replaces. Changes name the version that
            they replace. A new connection of the same user has another version.
    """

    user: str
    provider: str
    state: State
    connected_at: float
    refreshed_at: float
    used_at: float | None
    due_at: float
    details: str = field(repr=False)
    version: int = 0

    @property
    def id(self) -> str:
        """Identifier of the connection."""
        return f"{self.user} {self.provider}"


@dataclass(frozen=True, slots=True)
class ConnectionEvent(Value):
    """An entry of the audit trail. It contains no token.

    Attributes:
        user: ``User.id`` of the user.
        provider: Name of the provider.
        name: The event.
        at: Time in seconds since the epoch.
        reason: Error code or other reason; empty if there is none.
        count: Number of uses that the entry stands for.
    """

    user: str
    provider: str
    name: EventName
    at: float
    reason: str = ""
    count: int = 1
