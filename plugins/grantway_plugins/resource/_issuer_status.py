"""Whether an issuer is available, and the events that a resource reports."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

from grantway._processes.copies import Value


@dataclass(frozen=True, slots=True)
class IssuerStatus(Value):
    """Whether new tokens of an issuer can be verified.

    Attributes:
        available: Whether there are valid keys of the issuer, or it answered the last question.
        problem: Why its keys could not be read, or why it did not answer; empty after a success.
        since: Unix time of the first of these failures; 0 after a success.
    """

    available: bool
    problem: str = ""
    since: float = 0.0


class VerificationObserver(Protocol):
    """Receives what a resource does, for metrics. Its methods must not block, and not raise.

    ``issuer`` is the name of an accepted issuer, or empty if the token names none of them.
    """

    def verified(self, issuer: str, result: str) -> None:
        """Receive the result of a request.

        ``cached``: accepted, verified before; ``accepted``: accepted, new; ``forbidden``: valid,
        but without the scope or login that is needed; ``rejected``: not valid; ``missing``: no
        token; ``certificate``: accepted without token; ``unavailable``: cannot be verified now.
        """
        ...

    def asked(self, issuer: str, subject: str, result: str) -> None:
        """Receive the result of a read of ``keys``, or of a question about a ``token``.

        The result is ``ok`` or ``failed``; an issuer that calls a token inactive has answered.
        """
        ...


class Failing:
    """Why and since when something fails."""

    def __init__(self) -> None:
        self.problem, self.since = "", 0.0

    def record(self, problem: str) -> None:
        """Record the outcome of an attempt; the problem is empty on success."""
        self.since = 0.0 if not problem else self.since or time.time()
        self.problem = problem
