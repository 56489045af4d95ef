"""Events of a call, for observers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Event:
    """An event of a call. Contains no secret.

    Attributes:
        kind: ``start`` and ``end`` once a call; ``attempt`` after each send; ``retry`` before
            each wait for another.
        call_id: The same for all events of one call; unique within the process.
        step: Which endpoint: ``token``, ``device_authorization``, ...
        provider: The provider's host.
        grant_type: The grant, or None for another endpoint.
        attempt: Number of sends so far.
        milliseconds: Time since the start of the call; for an attempt, its duration.
        outcome: At the end ``ok`` or the error's ``code``; for an attempt ``final`` or the kind
            of failure.
        wait: Seconds until the next attempt, at a retry.
        status: HTTP status of the last response, or None.
    """

    kind: Literal["start", "attempt", "retry", "end"]
    call_id: int
    step: str
    provider: str
    grant_type: str | None
    attempt: int = 0
    milliseconds: float = 0.0
    outcome: str = ""
    wait: float = 0.0
    status: int | None = None
