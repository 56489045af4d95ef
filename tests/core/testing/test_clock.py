"""Tests of ``FrozenClock``, which only ``step`` advances."""

from __future__ import annotations

import time

import pytest

from grantway._exceptions import ConfigurationError
from grantway.testing import FrozenClock


def test_starts_at_the_current_time_and_does_not_advance() -> None:
    before = time.time()
    clock = FrozenClock()
    assert before <= clock() <= time.time()
    assert clock() == clock()


def test_step_advances_the_clock() -> None:
    clock = FrozenClock(1_000)
    assert clock.step(60) == clock() == 1_060.0
    assert repr(clock) == "FrozenClock(1060.0)"


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
def test_rejects_steps_that_are_negative_or_not_finite(seconds: float) -> None:
    clock = FrozenClock(1_000)
    with pytest.raises(ConfigurationError, match="seconds: must be"):
        clock.step(seconds)
    assert clock() == 1_000.0
