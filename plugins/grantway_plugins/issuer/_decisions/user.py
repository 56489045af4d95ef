"""The user who approves a request."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from grantway_plugins.issuer._settings import IssuerSettings

from .randomness import digest


@dataclass(frozen=True, slots=True)
class User:
    """A user whom the issuer has identified.

    Attributes:
        subject: The ``sub`` of the user's tokens.
        auth_time: Time of the authentication, in seconds since the epoch; None for the local user,
            who does not authenticate.
        session_id: Identifier of the user's session, as in the ``sid`` claim; None without a
            session.
        name: Name for pages; empty to show the subject.
        attempt: Digest of the login attempt whose request has not been answered yet, in hexadecimal
            digits; empty if there is none.
    """

    subject: str
    auth_time: float | None = None
    session_id: str | None = None
    name: str = ""
    attempt: str = field(default="", repr=False)

    @property
    def shown(self) -> str:
        """The user for a page."""
        return self.name or self.subject

    def answers(self, attempt_id: str) -> bool:
        """Return whether the user has just logged in with this attempt."""
        return bool(self.attempt) and hmac.compare_digest(self.attempt, digest(attempt_id).hex())


def local_user(settings: IssuerSettings) -> User:
    """Return the single user of an issuer without user login."""
    return User(settings.subject)
