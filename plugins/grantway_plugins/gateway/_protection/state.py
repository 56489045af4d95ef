"""The state of a protection, and its notices to listeners."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: Why a call was not sent.
ShedReason = Literal["open", "retry_after", "probing", "full", "deadline"]


@dataclass(frozen=True, slots=True)
class ProtectionState:
    """What a provider's protection is like at a moment. Holds no secret.

    Attributes:
        provider: The name that the protection was given.
        breaker: ``closed``, ``open`` (nothing is sent) or ``half_open`` (one call goes as a
            probe).
        why: What opened it; empty while it is closed.
        until: Unix time until which nothing is sent, or None.
        in_flight: Calls that were let through and have not ended.
        waiting: Calls that wait for a place.
        failures: Failures in a row.
    """

    provider: str
    breaker: Literal["closed", "open", "half_open"]
    why: str
    until: float | None
    in_flight: int
    waiting: int
    failures: int


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice to a listener.

    Attributes:
        kind: ``load`` when calls in flight or waiting changed, ``breaker`` when its state did,
            ``shed`` when a call was not sent.
        state: The state of the protection just afterwards.
        reason: For ``shed``: ``open``, ``retry_after``, ``probing``, ``full`` or ``deadline``.
    """

    kind: Literal["load", "breaker", "shed"]
    state: ProtectionState
    reason: str = ""
