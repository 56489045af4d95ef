"""Rounds, ratios and rows: how every measurement becomes a part of the table."""

from __future__ import annotations

import statistics
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

OURS = "grantway"
Call = Callable[[], str]
AsyncCall = Callable[[], Awaitable[str]]


@dataclass(frozen=True)
class Cell:
    """The result of one peer in one row.

    Attributes:
        ratio: Median of the rounds as a multiple of the baseline's median.
        low: First quartile of the ratios of single rounds.
        high: Third quartile of the ratios of single rounds.
        median: Median in the row's unit.
    """

    ratio: float
    low: float
    high: float
    median: float


@dataclass(frozen=True)
class Row:
    """One measurement of several peers.

    Attributes:
        name: Name of the row, as for ``--only``.
        unit: Unit of the medians.
        baseline: The peer, or other code, whose ratio is 1.
        rounds: Number of rounds.
        cells: Result by peer.
        notes: More numbers by peer, such as how many requests it sent.
    """

    name: str
    unit: str
    baseline: str
    rounds: int
    cells: dict[str, Cell]
    notes: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        name: str,
        unit: str,
        baseline: str,
        samples: Mapping[str, list[float]],
        *,
        floor: str | None = None,
        notes: Mapping[str, str] | None = None,
    ) -> Self:
        """Compute the ratios of one row.

        Args:
            name: Name of the row.
            unit: Unit of the samples.
            baseline: Name of the samples whose ratio is 1.
            samples: One number for each round, by peer.
            floor: Name of the samples whose median is subtracted from all others. It is no peer.
            notes: More numbers by peer.
        """
        under = statistics.median(samples[floor]) if floor else 0.0
        above = {
            peer: [value - under for value in values]
            for peer, values in samples.items()
            if peer != floor
        }
        base = above[baseline]
        cells = {}
        for peer, values in above.items():
            each = [value / other for value, other in zip(values, base, strict=True)]
            low, _, high = statistics.quantiles(each, n=4)
            median = statistics.median(values)
            ratio = median / statistics.median(base)
            cells[peer] = Cell(*(_digits(number) for number in (ratio, low, high, median)))
        return cls(name, unit, baseline, len(base), cells, dict(notes or {}))

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> Self:
        """Return the row that ``to_json`` wrote."""
        cells = {peer: Cell(**cell) for peer, cell in members["cells"].items()}
        return cls(**{**members, "cells": cells})

    def to_json(self) -> dict[str, Any]:
        """Return the row as JSON members."""
        return asdict(self)


def _digits(number: float) -> float:
    return float(f"{number:.4g}")


def interleaved(
    rounds: int, peers: Mapping[str, Callable[[], float]], *, warm_up: int = 1
) -> dict[str, list[float]]:
    """Measure all peers in turn in every round, so that other load affects all alike.

    Args:
        rounds: Number of rounds.
        peers: Functions that return one number, by name.
        warm_up: Number of rounds before these.
    """
    samples: dict[str, list[float]] = {peer: [] for peer in peers}
    for number in range(-warm_up, rounds):
        for peer, measure in peers.items():
            value = measure()
            if number >= 0:
                samples[peer].append(value)
    return samples


def prepared(make: Mapping[str, Callable[[], Any]], *only: str) -> dict[str, Any]:
    """Call the functions, and return what they return.

    Args:
        make: Functions by name.
        only: Names of the functions to call; all if there are none.
    """
    return {peer: function() for peer, function in make.items() if not only or peer in only}
