"""Failed logins, which requests do not repeat for a while."""

from __future__ import annotations

import time
from collections.abc import MutableMapping
from typing import NamedTuple

from cachetools import TTLCache

from grantway._exceptions import GrantwayError, LoginNeededError, TransportError
from grantway._processes.copies import OneProcess
from grantway._processes.fork import fork_safe_lock

from .need import Need, Reason, requirements_of

#: Seconds after a failed login during which requests do not start another one.
_PAUSE, _SHORT_PAUSE = 60.0, 5.0

_guard = fork_safe_lock()


class LoginFailure(NamedTuple):
    """A failed login.

    Attributes:
        error: The error.
        at: Monotonic time of the failure.
        until: Monotonic time of the next login.
    """

    error: Exception
    at: float
    until: float

    def login_needed(self, url: str) -> LoginNeededError:
        """Return the error for a request that would need another login now.

        Args:
            url: URL of the resource.
        """
        now = time.monotonic()
        return LoginNeededError(
            f"There is no token for {url}: the login {now - self.at:.0f} s ago failed. "
            f"{message_of(self.error)} Another one starts in {self.until - now:.0f} s at the "
            "earliest; call log_in() to log in now."
        )


class LoginFailures(OneProcess):
    """The failed logins of the last minute, by the requirements that they should have met."""

    stays = "it belongs to a session"

    def __init__(self) -> None:
        self._failures: MutableMapping[object, LoginFailure] = TTLCache(64, _PAUSE, time.monotonic)

    def recent(self, need: Need) -> LoginFailure | None:
        """Return the failure because of which no login may start now, or None."""
        if need.reason is Reason.LOG_IN:
            return None
        with _guard:
            failure = self._failures.get(requirements_of(need))
        return failure if failure is not None and time.monotonic() < failure.until else None

    def add(self, need: Need, error: Exception) -> None:
        """Record a failed login."""
        now = time.monotonic()
        until = now + (_SHORT_PAUSE if isinstance(error, TransportError) else _PAUSE)
        with _guard:
            self._failures[requirements_of(need)] = LoginFailure(error, now, until)

    def discard(self, need: Need) -> None:
        """Forget the failure of a login after which there is a token."""
        with _guard:
            self._failures.pop(requirements_of(need), None)

    def clear(self) -> None:
        """Let the next request start a login in any case."""
        with _guard:
            self._failures.clear()


def message_of(error: Exception) -> str:
    """Return the message of an error of this package, or the name of another one's class."""
    return str(error) if isinstance(error, GrantwayError) else type(error).__name__
