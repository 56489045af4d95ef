"""Details of connections that the pages and the API show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

from grantway._processes.copies import Value

from .connection import Connection, State

if TYPE_CHECKING:
    from .details import Details


@dataclass(frozen=True, slots=True)
class Connected(Value):
    """The result of a login at a provider.

    Attributes:
        again: Whether the user was connected before.
        account: Name of the account at the provider; empty if unknown.
        before: Name of the account that was connected before, if it is another one.
        missing_scope: Requested scope that was not granted.
        ends: Whether the connection ends with its access token: there is no refresh token.
    """

    again: bool
    account: str = ""
    before: str = ""
    missing_scope: tuple[str, ...] = ()
    ends: bool = False


@dataclass(frozen=True, slots=True)
class Disconnected(Value):
    """The result of removing a connection. Its token is deleted in each case.

    Attributes:
        existed: Whether there was a connection.
        revoked: Whether the provider revoked the token.
        problem: Why the token was not revoked; empty if it was, or if there was none.
    """

    existed: bool
    revoked: bool
    problem: str = ""


@dataclass(frozen=True, slots=True)
class ConnectionStatus(Value):
    """A provider and a user's connection to it. Times are seconds since the epoch.

    Attributes:
        provider: Name of the provider in the gateway's file.
        title: Name of the provider on pages.
        state: State of the connection; ``none`` without one.
        account: Name of the account at the provider; empty if unknown.
        scope: The granted scope.
        missing_scope: Requested scope that was not granted.
        connected_at: Time of the last login, or None.
        refreshed_at: Time of the last new token, or None.
        used_at: Approximate time of the last use, or None.
        ends_at: Time at which the connection ends, because there is no refresh token, or None.
    """

    provider: str
    title: str
    state: State | Literal["none"] = "none"
    account: str = ""
    scope: tuple[str, ...] = ()
    missing_scope: tuple[str, ...] = ()
    connected_at: float | None = None
    refreshed_at: float | None = None
    used_at: float | None = None
    ends_at: float | None = None

    @classmethod
    def of(cls, title: str, known: Connection, details: Details) -> Self:
        """Return the status of a connection."""
        return cls(
            known.provider,
            title,
            known.state,
            details.account,
            details.scope,
            details.missing_scope,
            known.connected_at,
            known.refreshed_at,
            known.used_at,
            details.ends_at,
        )
