"""Prometheus metrics of a gateway (extra ``gateway``).

No label contains a user, tenant, client or token. The number of values of each label is limited.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from grantway._processes.copies import OneProcess
from grantway._types.quantity import check_count
from grantway.hookspecs import hookimpl
from grantway_plugins.gateway._connections.metrics import ConnectionMetrics
from grantway_plugins.gateway._inbound_metrics import InboundMetrics
from grantway_plugins.server._metrics.bounded import OTHER, Bounded
from grantway_plugins.server._metrics.certificate_gauges import watch_certificate
from grantway_plugins.server._metrics.combined import Family, snapshot
from grantway_plugins.server._metrics.exposition import render

if TYPE_CHECKING:
    from grantway._types.event import Event
    from grantway_plugins.server._tls.certificate import ServerCertificate

    from ._protection import Notice, Protection

#: Value of the gauge for each state of a breaker.
STATES: Mapping[str, int] = {"closed": 0, "half_open": 1, "open": 2}
#: Upper bounds in seconds; callers give up after a minute.
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


#: How to combine the values of gauges of several processes that are not added up.
COMBINED_GAUGES: Mapping[str, Callable[[Iterable[float]], float]] = {
    "grantway_breaker_state": max,
    "grantway_certificate_expiry_timestamp_seconds": min,
    "grantway_certificate_failures": max,
    "grantway_connection_refresh_lag_seconds": max,
    "grantway_connection_tokens_unreadable": max,
    "grantway_connections": max,  # each process counts those of all
}


class LabelledRoute(Protocol):
    """The attributes of a route that are used as labels."""

    @property
    def name(self) -> str:
        """Name of the route."""
        ...

    @property
    def provider(self) -> str:
        """Name of the provider of its tokens."""
        ...


class _Route(NamedTuple):
    """The series of a route, cached after the first lookup."""

    hits: Counter
    waits: Histogram
    outcomes: dict[str, Counter]


class _Watched(NamedTuple):
    """A protection and its series."""

    protection: Protection
    state: Gauge
    in_flight: Gauge
    waiting: Gauge


class GatewayMetrics(OneProcess):
    """Prometheus metrics of a gateway. Thread-safe.

    It is a plugin that counts provider calls and an ``Observer`` of forwarded requests, and can
    watch protections::

        metrics = GatewayMetrics(CollectorRegistry())
        client = Client(provider, ..., registry=build_registry({"metrics": metrics}))

    Args:
        registry: Registry of the metrics. Each ``GatewayMetrics`` needs its own registry.
        names: Provider hosts mapped to the value of the label ``provider``; by default the host.
            Use the same names in protections and routes.
        most_values: Largest number of values of each label; further values are counted as
            ``other``.

    Raises:
        ConfigurationError: ``most_values`` is invalid.
    """

    stays = "it counts in this process; create one in each process"

    def __init__(
        self,
        registry: CollectorRegistry,
        *,
        names: Mapping[str, str] | None = None,
        most_values: int = 100,
    ) -> None:
        check_count("most_values", most_values)
        self._registry = registry
        self._names = dict(names or {})
        self._watched: dict[str, _Watched] = {}
        self._lock = threading.Lock()
        self._routes: dict[tuple[str, str], _Route] = {}
        self._provider, self._route = Bounded(most_values), Bounded(most_values)
        self._grant, self._step = Bounded(most_values), Bounded(most_values)
        self._outcome, self._reason = Bounded(most_values), Bounded(most_values)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"grantway_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str, *labels: str) -> Histogram:
            return Histogram(f"grantway_{name}", text, labels, buckets=_BUCKETS, registry=registry)

        routed = ("route", "provider")
        self._hits = counter("token_hits", "Requests whose token was available at once", *routed)
        self._waits = histogram("token_wait_seconds", "Waits for a token", *routed)
        self._requests = counter("requests", "Forwarded requests by outcome", *routed, "outcome")
        called = ("provider", "step", "grant")
        self._calls = counter("provider_calls", "Provider calls by outcome", *called, "outcome")
        self._seconds = histogram("provider_call_seconds", "Durations of provider calls", *called)
        self._retries = counter("provider_retries", "Retried attempts", "provider", "reason")
        self._shed = counter("provider_shed", "Calls that were not sent", "provider", "reason")
        self._moves = counter("breaker_moves", "State changes of a breaker", "provider", "state")
        # With several processes: the worst breaker state, and the sum of calls.
        self._state = Gauge(
            "grantway_breaker_state",
            "0 closed, 1 half-open, 2 open",
            ("provider",),
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._in_flight = Gauge(
            "grantway_bulkhead_in_flight",
            "Calls in flight",
            ("provider",),
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._waiting = Gauge(
            "grantway_bulkhead_waiting",
            "Calls in the queue",
            ("provider",),
            registry=registry,
            multiprocess_mode="livesum",
        )

        #: Metrics of verified callers.
        self.inbound = InboundMetrics(registry, most_values)
        #: Metrics of users' connections.
        self.connections = ConnectionMetrics(registry, most_values)

    # --- Forwarded requests -----------------------------------------------------------------------

    def hit(self, route: LabelledRoute) -> None:
        """Count a request whose token was available at once."""
        key = route.name, route.provider
        (self._routes.get(key) or self._bind(key)).hits.inc()

    def waited(self, route: LabelledRoute, seconds: float) -> None:
        """Count a request that waited for a token, successfully or not."""
        key = route.name, route.provider
        (self._routes.get(key) or self._bind(key)).waits.observe(seconds)

    def injected(self, route: LabelledRoute, outcome: str) -> None:
        """Count the outcome of a request."""
        key = route.name, route.provider
        outcomes = (self._routes.get(key) or self._bind(key)).outcomes
        (outcomes.get(outcome) or self._bind_outcome(key, outcome)).inc()

    def _bind(self, key: tuple[str, str]) -> _Route:
        name, provider = self._route(key[0]), self._provider(key[1])
        bound = _Route(self._hits.labels(name, provider), self._waits.labels(name, provider), {})
        if OTHER in (name, provider):
            return bound  # the series exists, but the cache is bounded
        return self._routes.setdefault(key, bound)

    def _bind_outcome(self, key: tuple[str, str], outcome: str) -> Counter:
        known = self._outcome(outcome)
        child = self._requests.labels(self._route(key[0]), self._provider(key[1]), known)
        if known != OTHER and key in self._routes:
            self._routes[key].outcomes[outcome] = child
        return child

    # --- Provider calls ---------------------------------------------------------------------------

    @hookimpl
    def grantway_observe(self, event: Event) -> None:
        """Count a finished call or a retry."""
        provider = self._provider(self._names.get(event.provider, event.provider))
        if event.kind == "retry":
            self._retries.labels(provider, self._reason(event.outcome)).inc()
        elif event.kind == "end":
            called = provider, self._step(event.step), self._grant(event.grant_type or "")
            self._calls.labels(*called, self._outcome(event.outcome)).inc()
            self._seconds.labels(*called).observe(event.milliseconds / 1000)

    # --- Protections ------------------------------------------------------------------------------

    def watch(self, protection: Protection) -> None:
        """Watch a protection, instead of an earlier one of the same provider."""
        provider = self._provider(protection.provider)
        watched = _Watched(
            protection,
            self._state.labels(provider),
            self._in_flight.labels(provider),
            self._waiting.labels(provider),
        )

        def count(notice: Notice) -> None:
            if notice.kind == "shed":
                self._shed.labels(provider, notice.reason).inc()
            elif notice.kind == "breaker":
                self._moves.labels(provider, notice.state.breaker).inc()
            if self._watched.get(provider) is watched:
                self._update(watched)

        with self._lock:
            self._watched[provider] = watched
        protection.listen(count)
        self._update(watched)

    def _update(self, watched: _Watched) -> None:
        # The lock keeps an older state from overwriting a newer one.
        with self._lock:
            state = watched.protection.state()
            watched.state.set(STATES[state.breaker])
            watched.in_flight.set(state.in_flight)
            watched.waiting.set(state.waiting)

    # --- Certificate ------------------------------------------------------------------------------

    def watch_certificate(self, certificate: ServerCertificate) -> None:
        """Measure the expiry of a certificate, and changes that could not be used."""
        watch_certificate(self._registry, "grantway", certificate)

    # --- For the scraper --------------------------------------------------------------------------

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """Return the metrics and their content type.

        If processes share a folder, the metrics of all processes are included.

        Args:
            accept: The scraper's ``Accept`` header.
        """
        self._update_all()
        return render(self._registry, accept)

    def snapshot(self) -> list[Family]:
        """Return the metrics of this process as JSON, for ``CombinedMetrics``."""
        self._update_all()
        return snapshot(self._registry)

    def _update_all(self) -> None:
        for watched in tuple(self._watched.values()):
            self._update(watched)  # an open breaker becomes half-open without an event
