"""The audit log and the metrics of connections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from grantway._processes.copies import OneProcess

from .audit import log_event

if TYPE_CHECKING:
    from .connection import ConnectionEvent
    from .metrics import ConnectionMetrics
    from .token_check import TokenHealth


class ConnectionObserver(OneProcess):
    """Logs and counts what happens to connections, after it was saved.

    Args:
        metrics: Counts events; None to count nothing.
    """

    stays = "it counts in this process; create one in each process"

    def __init__(self, metrics: ConnectionMetrics | None = None) -> None:
        self._metrics = metrics

    def happened(self, event: ConnectionEvent) -> None:
        """Log and count an event of the audit trail."""
        log_event(event)
        if self._metrics is not None:
            self._metrics.event(event.provider, event.name, event.count)

    def kept_alive(self, provider: str, outcome: str, lag: float) -> None:
        """Count a refresh of an idle connection.

        Args:
            provider: Name of the provider.
            outcome: ``refreshed``, ``rejected``, or ``failed``, which is tried again.
            lag: Seconds after the planned time.
        """
        if self._metrics is not None:
            self._metrics.refresh(provider, outcome, lag)

    def webhook(self, outcome: str) -> None:
        """Count an attempt to deliver a webhook."""
        if self._metrics is not None:
            self._metrics.webhook(outcome)

    def counted(self, counts: Mapping[tuple[str, str], int]) -> None:
        """Show the number of connections by provider and state."""
        if self._metrics is not None:
            self._metrics.count(counts)

    def checked(self, tokens: TokenHealth) -> None:
        """Show how many of the tokens that are read regularly cannot be read."""
        if self._metrics is not None:
            self._metrics.unreadable(tokens.unreadable)
