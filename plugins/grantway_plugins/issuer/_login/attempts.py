"""Logins in progress, which the database keeps for a while."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field
from typing import Any, Self

from grantway_plugins.issuer._decisions.randomness import digest
from grantway_plugins.issuer._storage.transaction import Transaction

from .interface import Prompt

#: Seconds until an attempt must be finished.
LIFETIME = 1800.0
#: Further seconds for which a late user gets a link to try again.
_REMEMBERED = 3600.0
#: Maximum length of the query of the page that needed the login.
MAX_RETURN = 9_000
_NAMESPACE = "grantway-logins"


@dataclass(frozen=True, slots=True)
class Attempt:
    """A login in progress. It belongs to one browser, and can be finished once.

    Attributes:
        id: Identifies the attempt; the database contains only its digest.
        browser: Digest of the browser's session, in hexadecimal digits.
        return_to: Path and query, below the issuer's URL, of the page that needs the user.
        began: Time of the beginning, in seconds since the epoch.
        prompt: As in ``LoginRequest``.
        max_age: As in ``LoginRequest``.
        login_hint: As in ``LoginRequest``.
    """

    id: str = field(repr=False)
    browser: str
    return_to: str = field(repr=False)
    began: float
    prompt: Prompt = ""
    max_age: float | None = None
    login_hint: str | None = field(default=None, repr=False)

    @classmethod
    def new(cls, session_id: str, return_to: str, now: float, **details: Any) -> Self:
        """Return a new attempt.

        Args:
            session_id: The browser's session, a secret.
            return_to: As in the attribute.
            now: Current time in seconds since the epoch.
            **details: The other attributes.
        """
        return cls(secrets.token_urlsafe(32), browser_of(session_id), return_to, now, **details)

    def save(self, transaction: Transaction) -> None:
        """Store the attempt."""
        value = {name: getattr(self, name) for name in _STORED if getattr(self, name) is not None}
        until = self.began + LIFETIME + _REMEMBERED
        transaction.records(_NAMESPACE).put(self.id, value, until=until)

    def is_of(self, session_id: str) -> bool:
        """Return whether the attempt belongs to this browser's session."""
        return hmac.compare_digest(self.browser, browser_of(session_id))

    def is_late(self, now: float) -> bool:
        """Return whether it is too late to finish the attempt."""
        return now >= self.began + LIFETIME


_STORED = ("browser", "return_to", "began", "prompt", "max_age", "login_hint")


def find_attempt(attempt_id: str, transaction: Transaction) -> Attempt | None:
    """Return an attempt; None if there is none, or if it has been finished."""
    value = transaction.records(_NAMESPACE).get(attempt_id)
    return None if value is None else Attempt(attempt_id, **value)


def end_attempt(attempt_id: str, transaction: Transaction) -> bool:
    """Delete an attempt, so that it cannot be finished again; return False if it is gone."""
    return transaction.records(_NAMESPACE).take(attempt_id) is not None


def browser_of(session_id: str) -> str:
    """Return the digest of a browser's session, in hexadecimal digits."""
    return digest(session_id).hex()
