"""Uses and refreshes are collected in memory without slowing requests down."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest

from grantway import Token
from grantway_plugins.gateway._connections._background.activity import USED_EVERY, Activity, Change
from grantway_plugins.gateway._connections._background.due import due_at

DAY = 86_400.0


class Clock:
    """An adjustable clock."""

    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_the_first_use_is_saved_soon_and_further_ones_are_counted(clock: Clock) -> None:
    activity = Activity(clock=clock)
    activity.used("u", "github")
    activity.used("u", "github")
    assert activity.take() == [Change("u", "github", uses=2, used_at=clock.now)]
    for _ in range(5):
        activity.used("u", "github")
        clock.now += USED_EVERY / 10
        assert activity.take() == []
    clock.now += USED_EVERY / 2
    assert activity.take() == [Change("u", "github", uses=5, used_at=clock.now)]
    assert activity.take() == []


def test_a_gateway_that_stops_saves_everything(clock: Clock) -> None:
    activity = Activity(clock=clock)
    activity.used("u", "github")
    activity.take()
    activity.used("u", "github")
    assert activity.take(everything=True) == [Change("u", "github", uses=1, used_at=clock.now)]
    assert activity.take(everything=True) == []


def test_a_refresh_is_saved_with_the_uses(clock: Clock) -> None:
    activity = Activity(clock=clock)
    activity.used("u", "github")
    activity.refreshed(DAY, "u", "github", Token("at", refresh_token="rt"))
    (change,) = activity.take()
    assert (change.uses, change.refreshed_at) == (1, clock.now)
    assert clock.now + 0.9 * DAY <= change.due_at <= clock.now + DAY


def test_a_change_that_was_not_saved_is_merged_with_later_activity(clock: Clock) -> None:
    activity = Activity(clock=clock)
    activity.used("u", "github")
    activity.refreshed(DAY, "u", "github", Token("at", refresh_token="rt"))
    (change,) = activity.take()
    clock.now += 10
    activity.refreshed(DAY, "u", "github", Token("at", refresh_token="rt"))
    newest = clock.now
    activity.give_back(change)
    (merged,) = activity.take()
    assert (merged.uses, merged.used_at, merged.refreshed_at) == (1, newest - 10, newest)


def test_memory_is_bounded(clock: Clock) -> None:
    activity = Activity(clock=clock, most=100)
    for round_ in range(5):
        for number in range(300):
            activity.used(f"u{round_}-{number}", "github")
            activity.refreshed(DAY, f"u{round_}-{number}", "g", Token("at", refresh_token="rt"))
        assert len(activity) <= 200
        assert len(activity.take()) <= 200
        assert len(activity._saved) <= 100
    for number in range(100):
        activity.used(f"u{number}", "github")
    activity.take()
    for number in range(100):
        activity.used(f"u{number}", "github")
        activity.used(f"v{number}", "github")
    activity.take()
    assert len(activity._saved) <= 100


def test_a_use_costs_less_than_two_microseconds() -> None:
    activity, count = Activity(), 20_000
    users = [f"user-{number % 500}" for number in range(count)]
    best = math.inf
    for _ in range(5):
        started = time.thread_time()  # without the time of other processes
        for user in users:
            activity.used(user, "github")
        best = min(best, time.thread_time() - started)
    assert best / count < 2e-6


# --- The next refresh -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("extra", "longest"),
    [
        ({}, DAY),
        ({"refresh_token_expires_in": 3600}, 1800),
        ({"refresh_expires_in": 1800}, 900),
        ({"x_refresh_token_expires_in": "7200"}, 3600),
        ({"refresh_expires_in": 0}, DAY),
        ({"refresh_expires_in": -1}, DAY),
        ({"refresh_expires_in": "soon"}, DAY),
        ({"refresh_expires_in": True}, DAY),
        ({"refresh_expires_in": None}, DAY),
        ({"refresh_expires_in": {}}, DAY),
        ({"refresh_expires_in": 10**400}, DAY),
        ({"refresh_expires_in": 1e9}, DAY),
    ],
)
def test_a_shorter_lifetime_of_the_refresh_token_counts(
    extra: dict[str, Any], longest: float
) -> None:
    for _ in range(20):
        due = due_at(Token("at", refresh_token="rt", extra=extra), 1000.0, DAY)
        assert 0.9 * longest <= due - 1000.0 <= longest


def test_without_a_refresh_token_the_end_of_the_connection_is_due() -> None:
    assert due_at(Token("at", expires_at=5000.0), 1000.0, DAY) == 5060.0
    assert due_at(Token("at", expires_in=100), 1000.0, DAY) == 1160.0
    assert due_at(Token("at"), 1000.0, DAY) == math.inf


def test_keep_alive_can_be_off() -> None:
    assert due_at(Token("at", refresh_token="rt"), 1000.0, math.inf) == math.inf
