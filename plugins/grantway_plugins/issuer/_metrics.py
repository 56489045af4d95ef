"""Prometheus metrics of an issuer (extra ``operation``).

No label contains a client, user, scope or token. The number of values of each label is limited.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from grantway._processes.copies import OneProcess
from grantway_plugins.issuer._storage.errors import DatabaseError
from grantway_plugins.issuer._storage.jobs import Outcome
from grantway_plugins.issuer._storage.store import BATCH_SIZE, IssuerStore
from grantway_plugins.server._http.asgi import Receive, Scope, Send
from grantway_plugins.server._http.audit_event import AuditEvent
from grantway_plugins.server._metrics.bounded import OTHER, Bounded
from grantway_plugins.server._metrics.certificate_gauges import watch_certificate
from grantway_plugins.server._tls.certificate import ServerCertificate

#: Maximum number of values of a label that plugins can extend.
_MOST_VALUES = 100
#: Upper bounds in seconds. A transaction in memory takes less than a millisecond.
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SIZES = tuple(2**power for power in range(BATCH_SIZE.bit_length()))
#: Value of ``status`` if the client disconnected before the response.
_NO_RESPONSE = "none"


class IssuerMetrics(OneProcess):
    """Prometheus metrics of an issuer.

    Args:
        registry: Registry of the metrics. Each ``IssuerMetrics`` needs its own registry.
    """

    stays = "it counts in this process; create one in each process"

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"grantway_issuer_{name}", text, labels, registry=registry)

        def histogram(
            name: str, text: str, *labels: str, buckets: Sequence[float] = _BUCKETS
        ) -> Histogram:
            return Histogram(
                f"grantway_issuer_{name}", text, labels, buckets=buckets, registry=registry
            )

        self.registry = registry
        self._grant, self._error = Bounded(_MOST_VALUES), Bounded(_MOST_VALUES)
        self._endpoint = Bounded(_MOST_VALUES)
        self._requests = counter("requests", "Requests by status", "endpoint", "status")
        self._seconds = histogram("request_seconds", "Durations of requests", "endpoint")
        self._tokens = counter("tokens_issued", "Issued access tokens", "grant", "format")
        self._events = counter("events", "Audit events, such as logins and replays", "event")
        self._denials = counter("denials", "Denied requests by error code", "error")
        self._transactions = histogram("transaction_seconds", "Durations of transactions")
        self._batches = histogram(
            "transaction_requests", "Requests that shared a transaction", buckets=_SIZES
        )
        self._failures = counter("database_failures", "Requests that the database failed", "error")
        self._pruned = counter("pruned_rows", "Expired rows that were deleted")

    # --- Requests ---------------------------------------------------------------------------------

    def metered(self, app: Any, endpoint_of: Callable[[str], str | None]) -> Any:
        """Return an ASGI application that also counts requests.

        Args:
            app: The application.
            endpoint_of: Returns the label of a path, or None for an unknown one.
        """

        async def metered_app(scope: Scope, receive: Receive, send: Send) -> None:
            status: str | None = None
            begun = time.perf_counter()

            async def watched(message: Any) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = str(message["status"])
                await send(message)

            try:
                await app(scope, receive, watched)
            finally:
                if scope["type"] == "http":
                    label = endpoint_of(scope["path"])
                    self.count_request(label, status, time.perf_counter() - begun)

        return metered_app

    def count_request(self, endpoint: str | None, status: str | None, seconds: float) -> None:
        """Count a request.

        Args:
            endpoint: The label of its path, or None for an unknown one.
            status: The status of the response; None if the client disconnected before it.
            seconds: The duration.
        """
        label = self._endpoint(endpoint or OTHER)
        self._requests.labels(label, status or _NO_RESPONSE).inc()
        self._seconds.labels(label).observe(seconds)

    def count_token(self, grant_type: str, token_format: str) -> None:
        """Count an issued access token."""
        self._tokens.labels(self._grant(grant_type), token_format).inc()

    def count_event(self, event: AuditEvent) -> None:
        """Count an audit event, and the error of a denial."""
        self._events.labels(event.name).inc()
        if event.error is not None:
            self._denials.labels(self._error(event.error)).inc()

    # --- Database ---------------------------------------------------------------------------------

    def committed(self, outcomes: Sequence[Outcome], seconds: float) -> None:
        """Record a transaction, with the outcomes of the requests that shared it."""
        self._transactions.observe(seconds)
        self._batches.observe(len(outcomes))
        for _, _, error in outcomes:
            if isinstance(error, DatabaseError):
                self._failures.labels(error.code).inc()

    def pruned(self, rows: int) -> None:
        """Record deleted rows."""
        self._pruned.inc(rows)

    # --- State, which is read for each scrape -----------------------------------------------------

    def watch_store(self, store: IssuerStore) -> None:
        """Measure a database."""
        store.watch = self
        self._gauge("queue", "Requests that wait for a transaction", store.waiting)

    def watch_connections(self, count: Callable[[], int]) -> None:
        """Measure the number of open connections."""
        self._gauge("connections", "Open connections", count)

    def watch_certificate(self, certificate: ServerCertificate) -> None:
        """Measure the expiry of a certificate, and changes that could not be used."""
        watch_certificate(self.registry, "grantway_issuer", certificate)

    def _gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        Gauge(f"grantway_issuer_{name}", text, registry=self.registry).set_function(value)
