"""A clock that moves when reported."""

from __future__ import annotations

import time

import pytest

from grantway._exceptions import ConfigurationError
from grantway.testing import FrozenClock


def test_it_begins_now_and_stands_still() -> None:
    before = time.time()
    clock = FrozenClock()
    assert before <= clock() <= time.time()
    assert clock() == clock()


def test_it_moves_when_it_is_stepped() -> None:
    clock = FrozenClock(1_000)
    assert clock.step(60) == clock() == 1_060.0
    assert repr(clock) == "FrozenClock(1060.0)"


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
def test_it_never_goes_back(seconds: float) -> None:
    clock = FrozenClock(1_000)
    with pytest.raises(ConfigurationError, match="seconds: must be"):
        clock.step(seconds)
    assert clock() == 1_000.0
