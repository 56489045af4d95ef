"""A clock that keeps advancing when the wall clock is set back."""

from __future__ import annotations

from hypothesis import given, strategies as st

from grantway_plugins.issuer._storage.steady_clock import SteadyClock


@given(
    st.lists(
        st.tuples(
            st.floats(-1e6, 1e6, allow_nan=False),  # step of the wall clock
            st.floats(0, 1e3, allow_nan=False),  # time that really passed
        )
    )
)
def test_it_never_runs_backwards(steps: list[tuple[float, float]]) -> None:
    wall, passed = [1.8e9], [0.0]
    clock = SteadyClock(lambda: wall[0], lambda: passed[0])
    before = clock()
    for step, elapsed in steps:
        wall[0] += step
        passed[0] += elapsed
        now = clock()
        assert now >= before - 1e-3  # rounding of floats this large
        before = now


def test_a_clock_that_is_set_back_advances_by_the_time_that_passed() -> None:
    wall, passed = [1000.0], [0.0]
    clock = SteadyClock(lambda: wall[0], lambda: passed[0])
    wall[0], passed[0] = 400.0, 20.0
    assert clock() == 1020.0
    wall[0], passed[0] = 410.0, 30.0
    assert clock() == 1030.0


def test_equals_the_wall_clock_without_backward_steps() -> None:
    wall = [1000.0]
    clock = SteadyClock(lambda: wall[0])
    for now in (1000.0, 1000.5, 90_000.0):
        wall[0] = now
        assert clock() == now
