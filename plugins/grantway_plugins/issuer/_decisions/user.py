"""The user who approves a request."""

from __future__ import annotations

from dataclasses import dataclass

from grantway_plugins.issuer._settings import IssuerSettings


@dataclass(frozen=True, slots=True)
class User:
    """A user whom the issuer has identified.

    Attributes:
        subject: The ``sub`` of the user's tokens.
        auth_time: Time of the authentication, in seconds since the epoch; None for the local user,
            who does not authenticate.
        session_id: Identifier of the user's session, as in the ``sid`` claim; None without a
            session.
    """

    subject: str
    auth_time: float | None = None
    session_id: str | None = None


def local_user(settings: IssuerSettings) -> User:
    """Return the single user of an issuer without user login."""
    return User(settings.subject)
