"""Prometheus metrics of connections. No label names a user."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge

from grantway._processes.copies import OneProcess
from grantway_plugins.server._metrics.bounded import Bounded


class ConnectionMetrics(OneProcess):
    """Counts what happens to connections. Thread-safe.

    Args:
        registry: Registry of the metrics.
        most_values: Largest number of values of each label; further values are counted as
            ``other``.
    """

    stays = "it counts in this process; create one in each process"

    def __init__(self, registry: CollectorRegistry, most_values: int) -> None:
        self._provider = Bounded(most_values)
        self._shown: set[tuple[str, str]] = set()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"grantway_{name}", text, labels, registry=registry)

        self._connections = Gauge(
            "grantway_connections",
            "Connections of users by state, counted about once a minute",
            ("provider", "state"),
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self._lag = Gauge(
            "grantway_connection_refresh_lag_seconds",
            "Delay of the last refresh of an idle connection after its planned time",
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self._unreadable = Gauge(
            "grantway_connection_tokens_unreadable",
            "Stored tokens that cannot be read, of ten that are checked once a minute",
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self._events = counter(
            "connection_events", "Events in the audit trail of connections", "provider", "event"
        )
        self._refreshes = counter(
            "connection_refreshes", "Refreshes of idle connections", "provider", "outcome"
        )
        self._webhooks = counter("connection_webhooks", "Attempts to send a webhook", "outcome")

    def event(self, provider: str, name: str, count: int) -> None:
        """Count an event of the audit trail."""
        self._events.labels(self._provider(provider), name).inc(count)

    def refresh(self, provider: str, outcome: str, lag: float) -> None:
        """Count a refresh of an idle connection, and show its delay in seconds."""
        self._refreshes.labels(self._provider(provider), outcome).inc()
        self._lag.set(lag)

    def unreadable(self, number: int) -> None:
        """Show how many of the checked tokens cannot be read."""
        self._unreadable.set(number)

    def webhook(self, outcome: str) -> None:
        """Count an attempt to send a webhook."""
        self._webhooks.labels(outcome).inc()

    def count(self, counts: Mapping[tuple[str, str], int]) -> None:
        """Show the number of connections by provider and state."""
        sums: dict[tuple[str, str], int] = dict.fromkeys(self._shown, 0)
        for (provider, state), number in counts.items():
            key = self._provider(provider), state
            sums[key] = sums.get(key, 0) + number
        self._shown = set(sums)
        for key, number in sums.items():
            self._connections.labels(*key).set(number)
