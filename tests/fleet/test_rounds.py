"""Twenty ends of a token, with all who share it asking at once: one request each, nobody fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fleet.issuer import HOUR, StrictIssuer
from tests.fleet.machines import Fleet, StoreOptions, fleet, gathered, together

ROUNDS = 20


def play(group: Fleet) -> None:
    """An hour passes, and all ask; each round brings all of them one token, the one stored."""
    seen: set[str] = set()
    for number in range(1, ROUNDS + 1):
        group.let_pass(HOUR)
        answer = group.ask()
        assert answer.errors == []
        assert len(answer.tokens) == 1
        assert not answer.tokens & seen
        assert group.issuer.asked == [200] * number
        seen |= answer.tokens
        if group.stored_anywhere:
            stored = group.stored
            assert stored is not None
            assert {stored.access_token} == answer.tokens
    if group.stored_anywhere:
        assert group.issuer.refreshes(group.stored)


@pytest.mark.parametrize("store", [None, ("memory", {})])
def test_64_threads(tmp_path: Path, issuer: StrictIssuer, store: StoreOptions | None) -> None:
    """One process."""
    with fleet(tmp_path, issuer, store, machines=1, threads=64) as group:
        play(group)


@pytest.mark.parametrize("shared_store", ["file"], indirect=True)
def test_8_processes(tmp_path: Path, issuer: StrictIssuer, shared_store: StoreOptions) -> None:
    """They share a folder."""
    with fleet(tmp_path, issuer, shared_store, machines=8, threads=4) as group:
        play(group)


@pytest.mark.parametrize("shared_store", ["redis", "sql"], indirect=True)
def test_3_machines(tmp_path: Path, issuer: StrictIssuer, shared_store: StoreOptions) -> None:
    """They share a server and no file."""
    with fleet(tmp_path, issuer, shared_store, machines=3, threads=8) as group:
        play(group)


@pytest.mark.parametrize("shared_store", ["redis", "sql"], indirect=True)
def test_a_token_that_does_not_work_is_replaced_once(
    tmp_path: Path, issuer: StrictIssuer, shared_store: StoreOptions
) -> None:
    """All say so of one token, as after a 401 that all have met."""
    with fleet(tmp_path, issuer, shared_store, machines=3, threads=8) as group:
        group.let_pass(0)
        refused = group.ask().tokens
        assert issuer.asked == []
        together(group.machines, "invalidate", refused=list(refused))
        answer = group.ask()
        assert (answer.errors, issuer.asked) == ([], [200])
        assert not answer.tokens & refused
        assert issuer.refreshes(group.stored)


@pytest.mark.parametrize("shared_store", ["redis"], indirect=True)
def test_20_lifetimes_of_a_second_in_real_time(tmp_path: Path, shared_store: StoreOptions) -> None:
    """Nobody tells the machines when: they ask all the time, and renew in advance."""
    with (
        StrictIssuer(tmp_path, lifetime=1.0) as issuer,
        fleet(tmp_path, issuer, shared_store, machines=3, threads=4) as group,
    ):
        answer = gathered(together(group.machines, "poll", rounds=ROUNDS))
        together(group.machines, "quiet")
        assert answer.errors == []
        stored = group.stored
        assert stored is not None
        # The last may have come when nobody looked any more.
        assert issuer.asked == [200] * (len(answer.tokens | {stored.access_token}) - 1)
        assert issuer.refreshes(stored)
