"""What observers are told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened to a call. Holds no secret.

    Attributes:
        kind: ``start`` and ``end`` once a call; ``attempt`` after each send; ``retry`` before
            each wait for another.
        call_id: The same for all events of one call; unique within the process.
        step: Which endpoint: ``token``, ``device_authorization``, ...
        provider: The host that is asked.
        grant_type: The grant, or None for another endpoint.
        attempt: Sends begun so far.
        milliseconds: Since the start of the call; of an attempt, how long it took.
        outcome: At the end ``ok`` or the error's ``code``; of an attempt ``final``, or what went
            wrong.
        wait: Seconds until the next attempt, at a retry.
        status: HTTP status of the last answer, where there was one.
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
