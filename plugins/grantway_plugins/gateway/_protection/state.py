"""The state of a provider's protection, and notices of its changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: Reason why a call was not sent.
ShedReason = Literal["open", "retry_after", "probing", "full", "deadline"]


@dataclass(frozen=True, slots=True)
class ProtectionState:
    """A snapshot of a provider's protection. Contains no secrets.

    Attributes:
        provider: Name of the provider.
        breaker: ``closed``, ``open`` (calls are rejected) or ``half_open`` (one call is sent as a
            probe).
        why: Reason why the breaker opened; empty if it is closed.
        until: Unix time until which calls are rejected, or None.
        in_flight: Number of calls in progress.
        waiting: Number of calls in the queue.
        failures: Number of consecutive failures.
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
    """A change of a provider's protection.

    Attributes:
        kind: ``load`` if the number of running or waiting calls changed, ``breaker`` if the
            breaker's state changed, ``shed`` if a call was rejected.
        state: The state after the change.
        reason: For ``shed``: ``open``, ``retry_after``, ``probing``, ``full`` or ``deadline``.
    """

    kind: Literal["load", "breaker", "shed"]
    state: ProtectionState
    reason: str = ""
