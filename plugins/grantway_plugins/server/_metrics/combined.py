"""Combine the metrics of several processes.

The multiprocess mode of ``prometheus_client`` is not used: it leaves files behind, one set for each
process that ever ran, and does not support gauges that are computed when they are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import Collector

#: A metric as JSON: name, documentation, type, unit, and samples with name, labels and value.
Family = list[Any]
_Key = tuple[str, tuple[tuple[str, str], ...]]
#: Types whose values only grow while a process runs.
_GROWING = frozenset({"counter", "histogram", "summary"})


def snapshot(registry: CollectorRegistry) -> list[Family]:
    """Return the metrics of this process as JSON."""
    return [_family(each) for each in registry.collect()]


class CombinedMetrics(Collector):
    """The metrics of several processes as one.

    Counters and histograms are added up. Those of ended processes stay included, so that no value
    decreases.

    Args:
        gauges: How to combine the values of a gauge, by name; by default they are added up.
    """

    def __init__(self, gauges: Mapping[str, Callable[[Iterable[float]], float]]) -> None:
        self._gauges = gauges
        self._processes: dict[int, list[Family]] = {}
        self._ended: list[Family] = []

    def update(self, process: int, families: list[Family]) -> None:
        """Replace the metrics of a process."""
        self._processes[process] = families

    def end(self, process: int) -> None:
        """Keep the counters of a process that has ended, and forget its gauges."""
        ended = self._processes.pop(process, [])
        growing = [each for each in [*self._ended, *ended] if each[2] in _GROWING]
        self._ended = [_family(each) for each in self._combined(growing)]

    def collect(self) -> Iterator[Metric]:
        """Yield the combined metrics."""
        current = [each for families in self._processes.values() for each in families]
        yield from self._combined([*self._ended, *current])

    def _combined(self, families: Iterable[Family]) -> Iterator[Metric]:
        metrics: dict[str, Metric] = {}
        values: dict[str, dict[_Key, list[float]]] = {}
        for name, documentation, kind, unit, samples in families:
            metrics.setdefault(name, Metric(name, documentation, kind, unit))
            found = values.setdefault(name, {})
            for sample, labels, value in samples:
                found.setdefault((sample, tuple(labels.items())), []).append(value)
        for name, metric in metrics.items():
            for (sample, labels), each in values[name].items():
                combine = min if sample.endswith("_created") else self._gauges.get(name, sum)
                metric.add_sample(sample, dict(labels), combine(each))
            yield metric


def _family(metric: Metric) -> Family:
    samples = [[each.name, dict(each.labels), each.value] for each in metric.samples]
    return [metric.name, metric.documentation, metric.type, metric.unit, samples]
