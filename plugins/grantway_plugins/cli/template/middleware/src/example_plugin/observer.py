"""The observer: receives events of each request."""

from __future__ import annotations

from collections import Counter

from grantway import Event


class Calls:
    """Counts the finished calls by outcome."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()

    def observe(self, event: Event) -> None:
        """Count a call. Called from many threads at once."""
        if event.kind == "end":
            self.outcomes[event.outcome] += 1
