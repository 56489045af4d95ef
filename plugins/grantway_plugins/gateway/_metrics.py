"""Prometheus metrics of a gateway (extra ``gateway``).

No label is a user, a tenant, a client or a token, and no label has more than so many values.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector

from grantway._processes.copies import OneProcess
from grantway._types.quantity import check_count
from grantway.hookspecs import hookimpl

if TYPE_CHECKING:
    from grantway._types.event import Event

    from ._protection import Notice, Protection

#: What stands for the values of a label beyond its bound.
OTHER = "other"
#: The number that stands for a breaker's state.
STATES: Mapping[str, int] = {"closed": 0, "half_open": 1, "open": 2}
#: Seconds; a wait or a call of more than a minute is lost to its caller.
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
#: Where processes share their numbers (``prometheus_client`` reads it when it is imported).
_SHARED = "PROMETHEUS_MULTIPROC_DIR"


class Named(Protocol):
    """A route, by what may be a label."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def provider(self) -> str:
        """Where its tokens come from."""
        ...


class _Bounded:
    """The values of one label: the first so many keep their names."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: dict[str, str] = {}
        self._lock = threading.Lock()

    def __call__(self, value: str) -> str:
        known = self._kept.get(value)
        if known is not None:
            return known
        with self._lock:
            if len(self._kept) >= self._most:
                return OTHER
            return self._kept.setdefault(value, value)


class _Route(NamedTuple):
    """The series of a route, looked up once."""

    hits: Counter
    waits: Histogram
    outcomes: dict[str, Counter]


class _Watched(NamedTuple):
    """A protection, and its series."""

    protection: Protection
    state: Gauge
    in_flight: Gauge
    waiting: Gauge


class GatewayMetrics(OneProcess):
    """Prometheus metrics of a gateway. Thread-safe.

    It is a plugin that observes requests to providers, observes the tokens added to requests, and
    reads the state of protections::

        metrics = GatewayMetrics(CollectorRegistry())
        client = Client(provider, ..., registry=build_registry({"metrics": metrics}))

    Args:
        registry: Where the metrics live. One registry takes one ``GatewayMetrics``.
        names: Host of a provider -> its name in the label ``provider``; by default the host. Give
            a protection and its routes the same name.
        most_values: Values of each label at most; any more are counted together as ``other``.

    Raises:
        ConfigurationError: ``most_values`` cannot work.
    """

    stays = "it counts in this process; make one in each process"

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
        self._provider, self._route = _Bounded(most_values), _Bounded(most_values)
        self._grant, self._step = _Bounded(most_values), _Bounded(most_values)
        self._outcome, self._reason = _Bounded(most_values), _Bounded(most_values)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"grantway_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str, *labels: str) -> Histogram:
            return Histogram(f"grantway_{name}", text, labels, buckets=_BUCKETS, registry=registry)

        routed = ("route", "provider")
        self._hits = counter("token_hits", "Tokens that were at hand", *routed)
        self._waits = histogram("token_wait_seconds", "Waits for a token", *routed)
        self._requests = counter("requests", "Requests, by what became of them", *routed, "outcome")
        called = ("provider", "step", "grant")
        self._calls = counter("provider_calls", "Calls, by how they ended", *called, "outcome")
        self._seconds = histogram("provider_call_seconds", "How long calls took", *called)
        self._retries = counter("provider_retries", "Attempts again", "provider", "reason")
        self._shed = counter("provider_shed", "Calls that were not sent", "provider", "reason")
        self._moves = counter("breaker_moves", "Moves of a breaker", "provider", "state")
        # Of several processes: the worst breaker, and the calls of all that live.
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
            "Calls that wait for a place",
            ("provider",),
            registry=registry,
            multiprocess_mode="livesum",
        )

    # --- Requests that are given tokens -----------------------------------------------------------

    def hit(self, route: Named) -> None:
        """Count a token that was at hand."""
        key = route.name, route.provider
        (self._routes.get(key) or self._bind(key)).hits.inc()

    def waited(self, route: Named, seconds: float) -> None:
        """Count a wait for a token, in vain or not."""
        key = route.name, route.provider
        (self._routes.get(key) or self._bind(key)).waits.observe(seconds)

    def injected(self, route: Named, outcome: str) -> None:
        """Count what became of a request."""
        key = route.name, route.provider
        outcomes = (self._routes.get(key) or self._bind(key)).outcomes
        (outcomes.get(outcome) or self._bind_outcome(key, outcome)).inc()

    def _bind(self, key: tuple[str, str]) -> _Route:
        name, provider = self._route(key[0]), self._provider(key[1])
        bound = _Route(self._hits.labels(name, provider), self._waits.labels(name, provider), {})
        if OTHER in (name, provider):
            return bound  # the series is there; what leads to it is not kept
        return self._routes.setdefault(key, bound)

    def _bind_outcome(self, key: tuple[str, str], outcome: str) -> Counter:
        known = self._outcome(outcome)
        child = self._requests.labels(self._route(key[0]), self._provider(key[1]), known)
        if known != OTHER and key in self._routes:
            self._routes[key].outcomes[outcome] = child
        return child

    # --- Calls of providers -----------------------------------------------------------------------

    @hookimpl
    def grantway_observe(self, event: Event) -> None:
        """Count a call that ended, or that is sent again."""
        provider = self._provider(self._names.get(event.provider, event.provider))
        if event.kind == "retry":
            self._retries.labels(provider, self._reason(event.outcome)).inc()
        elif event.kind == "end":
            called = provider, self._step(event.step), self._grant(event.grant_type or "")
            self._calls.labels(*called, self._outcome(event.outcome)).inc()
            self._seconds.labels(*called).observe(event.milliseconds / 1000)

    # --- Protections ------------------------------------------------------------------------------

    def watch(self, protection: Protection) -> None:
        """Follow a protection from now on, in place of an earlier one of the same provider."""
        provider = self._provider(protection.provider)
        watched = _Watched(
            protection,
            self._state.labels(provider),
            self._in_flight.labels(provider),
            self._waiting.labels(provider),
        )

        def told(notice: Notice) -> None:
            if notice.kind == "shed":
                self._shed.labels(provider, notice.reason).inc()
            elif notice.kind == "breaker":
                self._moves.labels(provider, notice.state.breaker).inc()
            if self._watched.get(provider) is watched:
                self._show(watched)

        with self._lock:
            self._watched[provider] = watched
        protection.listen(told)
        self._show(watched)

    def _show(self, watched: _Watched) -> None:
        # Read and written together, so that the last one to come writes what is newest.
        with self._lock:
            state = watched.protection.state()
            watched.state.set(STATES[state.breaker])
            watched.in_flight.set(state.in_flight)
            watched.waiting.set(state.waiting)

    # --- For the scraper --------------------------------------------------------------------------

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """The page to scrape, and its content type; of all processes where they share a folder.

        Args:
            accept: The scraper's ``Accept``.
        """
        for watched in tuple(self._watched.values()):
            self._show(watched)  # time alone makes an open breaker half-open
        source = self._registry
        if os.environ.get(_SHARED):
            source = CollectorRegistry()
            MultiProcessCollector(source)  # type: ignore[no-untyped-call]
        encode, content_type = choose_encoder(accept)
        return encode(source), content_type
