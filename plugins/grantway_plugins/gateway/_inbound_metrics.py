"""Prometheus metrics of verified callers. No label names a caller or a token."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter

from grantway._processes.copies import OneProcess
from grantway_plugins.server._metrics.bounded import OTHER, Bounded

#: Value of the label ``issuer`` if a request names no accepted issuer.
_NONE = "none"


class InboundMetrics(OneProcess):
    """Counts verifications of callers; see ``VerificationObserver``. Thread-safe.

    Args:
        registry: Registry of the metrics.
        most_values: Largest number of values of the label ``issuer``; further issuers are counted
            as ``other``.
    """

    stays = "it counts in this process; create one in each process"

    def __init__(self, registry: CollectorRegistry, most_values: int) -> None:
        self._issuer = Bounded(most_values)
        self._results = Counter(
            "grantway_inbound_verifications",
            "Requests of callers by the result of their verification",
            ("issuer", "result"),
            registry=registry,
        )
        self._asked = Counter(
            "grantway_inbound_issuer_requests",
            "Reads of an issuer's keys, and questions to it about tokens",
            ("issuer", "subject", "result"),
            registry=registry,
        )
        self._bound: dict[tuple[str, str], Counter] = {}

    def verified(self, issuer: str, result: str) -> None:
        """See ``VerificationObserver``."""
        counter = self._bound.get((issuer, result))
        if counter is None:
            name = self._issuer(issuer or _NONE)
            counter = self._results.labels(name, result)
            if name != OTHER:  # the cache is bounded
                self._bound[issuer, result] = counter
        counter.inc()

    def asked(self, issuer: str, subject: str, result: str) -> None:
        """See ``VerificationObserver``."""
        self._asked.labels(self._issuer(issuer or _NONE), subject, result).inc()
