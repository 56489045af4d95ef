"""Limits on wrong user codes."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from grantway_plugins.issuer._pages import throttle as throttle_module
from grantway_plugins.issuer._pages.throttle import (
    PER_PEER,
    PER_SESSION,
    TOTAL,
    Throttle,
)
from grantway_plugins.server._listening.peers import network_of
from tests.plugins.issuer.conftest import Clock


def guess_all(throttle: Throttle, peer: str, session: str | None = None) -> int:
    """Enter wrong codes until throttled; return how many were looked up."""
    entered = 0
    while throttle.enter(session, peer) == 0:
        throttle.record_wrong_entry(peer)
        entered += 1
    return entered


def test_limits_each_session_each_address_and_all_together(clock: Clock) -> None:
    throttle = Throttle(clock)
    assert guess_all(throttle, "192.0.2.1", "a") == PER_SESSION.entries
    assert guess_all(throttle, "192.0.2.1", "b") == PER_PEER.entries - PER_SESSION.entries
    total = PER_PEER.entries + sum(guess_all(throttle, f"198.51.100.{n}") for n in range(250))
    assert total == TOTAL.entries


def test_restores_one_entry_at_a_time(clock: Clock) -> None:
    throttle = Throttle(clock)
    guess_all(throttle, "192.0.2.1", "a")
    assert throttle.wait("a", "192.0.2.1") == PER_SESSION.seconds
    clock.tick(PER_SESSION.seconds)
    assert guess_all(throttle, "192.0.2.1", "a") == 1
    clock.tick(3600)
    assert guess_all(throttle, "192.0.2.1", "a") == PER_SESSION.entries


def test_a_correct_entry_does_not_reset_the_count(clock: Clock) -> None:
    throttle = Throttle(clock)
    for _ in range(3):
        assert throttle.enter("a", "192.0.2.1") == 0
    for _ in range(100):
        assert throttle.enter("a", "192.0.2.1") == 0
        throttle.give_back("a", "192.0.2.1")
    assert guess_all(throttle, "192.0.2.1", "a") == PER_SESSION.entries - 3


def test_known_guessers_cannot_lock_out_other_addresses(clock: Clock) -> None:
    """Entering valid codes in between makes no difference."""
    throttle = Throttle(clock)
    guessers = [f"198.51.100.{n}" for n in range(60)]
    for _ in range(50):
        for guesser in guessers:
            guess_all(throttle, guesser)
            if throttle.enter(None, guesser) == 0:
                throttle.give_back(None, guesser)
        assert throttle.enter(None, "192.0.2.1") == 0
        throttle.give_back(None, "192.0.2.1")
        clock.tick(10)


def test_limits_guesses_from_many_addresses_together(clock: Clock) -> None:
    throttle = Throttle(clock)
    entered = 0
    for second in range(60):
        for n in range(50):
            entered += throttle.enter(None, f"2001:db8:{second:x}:{n:x}::1") == 0
        clock.tick(1)
    assert entered <= TOTAL.entries + 60 / TOTAL.seconds


def test_limits_the_number_of_remembered_keys(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttle_module, "_MAX_KEYS", 100)
    throttle = Throttle(clock)
    for n in range(300):
        throttle.enter(f"session {n}", f"2001:db8:0:{n:x}::1")
        throttle.record_wrong_entry(f"2001:db8:0:{n:x}::1")
        clock.tick(1)
    assert len(throttle._sessions._levels) <= 100
    assert len(throttle._peers._levels) <= 100
    assert len(throttle._guessers) <= 100


def test_setting_the_clock_back_neither_resets_counts_nor_locks_anyone_out(clock: Clock) -> None:
    throttle = Throttle(clock)
    guess_all(throttle, "192.0.2.1", "a")
    clock.tick(-86_400)
    assert throttle.wait("a", "192.0.2.1") == PER_SESSION.seconds


@given(st.lists(st.sampled_from(["wrong", "right", "tick"]), max_size=200))
def test_no_sequence_of_correct_and_wrong_codes_allows_more_guesses(steps: list[str]) -> None:
    clock, throttle, entered, waited = Clock(), None, 0, 0
    throttle = Throttle(clock)
    for step in steps:
        if step == "tick":
            clock.tick(1)
            waited += 1
        elif throttle.enter("a", "192.0.2.1") == 0:
            if step == "wrong":
                entered += 1
            else:
                throttle.give_back("a", "192.0.2.1")
    assert entered <= PER_SESSION.entries + waited / PER_SESSION.seconds


@pytest.mark.parametrize(
    ("peer", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:1", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("unknown", "unknown"),
        ("unix", "unix"),
    ],
)
def test_peers_are_counted_by_ipv4_address_or_ipv6_network(peer: str, network: str) -> None:
    assert network_of(peer) == network
