"""What observers are told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened to a call. Holds no secret.

    Attributes:
        kind: ``start`` and ``end`` once a call; ``retry`` before each wait.
        call_id: The same for all events of one call; unique within the process.
        step: Which endpoint: ``token``, ``device_authorization``, ...
        provider: The host that is asked.
        grant_type: The grant, or None for another endpoint.
        attempt: Sends begun so far.
        milliseconds: Since the start of the call.
        outcome: At the end ``ok`` or the error's ``code``; at a retry what went wrong.
        wait: Seconds until the next attempt, at a retry.
        status: HTTP status of the last answer, where there was one.
    """

    kind: Literal["start", "retry", "end"]
    call_id: int
    step: str
    provider: str
    grant_type: str | None
    attempt: int = 0
    milliseconds: float = 0.0
    outcome: str = ""
    wait: float = 0.0
    status: int | None = None
