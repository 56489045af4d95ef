"""What a fleet needs is gone for a while: the issuer, the store's server, the room on the disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fleet.issuer import HOUR, StrictIssuer
from tests.fleet.machines import Fleet, StoreOptions, fleet, gathered, together
from tests.valkey import ValkeyServer

#: Seconds of an hour's token after which it is renewed in advance, and still goes out.
NEAR_THE_END = HOUR - 100
#: Seconds that a busy machine may take beyond a deadline.
SLACK = 10.0
#: Seconds after which no provider is still left alone for an earlier failure.
LONG_AFTER = 120.0


def all_keep(group: Fleet, tokens: set[str]) -> None:
    """All get the live token, whatever goes wrong behind them."""
    answer = group.ask()
    assert (answer.errors, answer.tokens) == ([], tokens)


def all_get_a_new_one(group: Fleet, tokens: set[str], *, asked: int = 1) -> None:
    """All get a token that they did not have, and it is the newest of the login."""
    before = len(group.issuer.asked)
    answer = group.ask()
    assert answer.errors == []
    assert len(answer.tokens) == 1
    assert not answer.tokens & tokens
    assert group.issuer.asked[before:] == [200] * asked
    assert group.issuer.refreshes(group.stored)


@pytest.mark.parametrize("shared_store", ["file", "redis"], indirect=True)
def test_the_issuer_is_gone_for_some_rounds(
    tmp_path: Path, issuer: StrictIssuer, shared_store: StoreOptions
) -> None:
    """The live token goes out to its end; then errors in time, and all is well when it is back."""
    with fleet(tmp_path, issuer, shared_store, machines=3, threads=4) as group:
        held = group.ask().tokens
        group.let_pass(NEAR_THE_END)
        issuer.stop()
        for _ in range(3):
            all_keep(group, held)
            noticed = together(group.machines, "quiet")
            assert set(noticed) == {"ConnectionFailedError"}
            group.let_pass(10)
        group.let_pass(100)
        for _ in range(3):
            answer = group.ask(timeout=1.0)
            assert answer.seconds < 1.0 + SLACK
            assert answer.tokens == set()
            assert set(answer.errors) <= {
                "ConnectionFailedError",
                "ProviderPausedError",
                "WaitTimeoutError",
            }
            group.let_pass(LONG_AFTER)
        assert issuer.asked == []
        issuer.start()
        all_get_a_new_one(group, held)


@pytest.mark.parametrize("shared_store", ["redis"], indirect=True)
def test_the_server_of_the_store_is_gone_for_some_rounds(
    tmp_path: Path, issuer: StrictIssuer, shared_store: StoreOptions, valkey: ValkeyServer
) -> None:
    """As with the issuer; nothing is sent while nobody could store the answer."""
    with fleet(tmp_path, issuer, shared_store, machines=3, threads=4) as group:
        held = group.ask().tokens
        group.let_pass(NEAR_THE_END)
        valkey.stop()
        try:
            for _ in range(3):
                all_keep(group, held)
                assert set(together(group.machines, "quiet")) == {"StoreUnreadableError"}
                group.let_pass(10)
            group.let_pass(100)
            for _ in range(3):
                answer = group.ask()
                assert answer.tokens == set()
                assert set(answer.errors) == {"StoreUnreadableError"}
            assert issuer.asked == []
        finally:
            valkey.restart()
        all_get_a_new_one(group, held)


@pytest.mark.parametrize("shared_store", ["redis-short"], indirect=True)
def test_the_server_of_the_store_is_gone_when_the_answer_is_to_be_saved(
    tmp_path: Path, issuer: StrictIssuer, shared_store: StoreOptions, valkey: ValkeyServer
) -> None:
    """The token waits with the machine that has it, and is saved with its next call."""
    with fleet(tmp_path, issuer, shared_store, machines=3, threads=4, stop_at="between") as group:
        held = group.ask().tokens
        group.let_pass(HOUR)
        first, *others = group.machines
        first.tell("ask")
        first.hears_that_it_is("between")
        valkey.stop()
        try:
            first.go_on()
            answer = gathered([first.hear()])
            assert (answer.tokens, set(answer.errors)) == (set(), {"StoreSaveError"})
            assert issuer.asked == [200]
        finally:
            valkey.restart()
        all_get_it = [group.ask([first]), group.ask(others)]
        assert [answer.errors for answer in all_get_it] == [[], []]
        assert all_get_it[0].tokens == all_get_it[1].tokens
        assert not all_get_it[0].tokens & held
        assert issuer.asked == [200]
        assert issuer.refreshes(group.stored)


@pytest.mark.parametrize("shared_store", ["redis-short"], indirect=True)
@pytest.mark.parametrize("window", [0.0, 30.0])
def test_others_come_before_who_has_the_answer_can_save_it(
    tmp_path: Path, shared_store: StoreOptions, valkey: ValkeyServer, window: float
) -> None:
    """They send what it has used. All go on where the provider forgives, and else must log in."""
    with (
        StrictIssuer(tmp_path, reuse_window=window) as issuer,
        fleet(tmp_path, issuer, shared_store, machines=3, threads=4, stop_at="between") as group,
    ):
        group.let_pass(HOUR)
        first, *others = group.machines
        first.tell("ask")
        first.hears_that_it_is("between")
        valkey.stop()
        try:
            first.go_on()
            assert set(first.hear()["errors"]) == {"StoreSaveError"}
        finally:
            valkey.restart()
        answer = group.ask(others)
        if window:
            assert (answer.errors, len(answer.tokens)) == ([], 1)
            late = group.ask([first])
            assert (late.errors, late.tokens) == ([], answer.tokens)
            assert issuer.asked == [200, 200]
            assert issuer.refreshes(group.stored)
        else:
            assert set(answer.errors) == {"LoginNeededError"}
            token = group.log_in()
            group.let_pass(0)
            assert group.ask().tokens == {token.access_token}


@pytest.mark.parametrize("shared_store", ["redis"], indirect=True)
def test_the_server_of_the_store_starts_anew_before_the_answer_is_saved(
    tmp_path: Path, issuer: StrictIssuer, shared_store: StoreOptions, valkey: ValkeyServer
) -> None:
    """Who holds the lock when the server dies holds it still when it is back, and saves."""
    with fleet(tmp_path, issuer, shared_store, machines=3, threads=4, stop_at="between") as group:
        held = group.ask().tokens
        group.let_pass(HOUR)
        first, *others = group.machines
        first.tell("ask")
        first.hears_that_it_is("between")
        valkey.restart()
        first.go_on()
        answer = gathered([first.hear()])
        assert answer.errors == []
        assert group.ask(others).tokens == answer.tokens
        assert not answer.tokens & held
        assert issuer.asked == [200]
        assert issuer.refreshes(group.stored)


@pytest.mark.parametrize("shared_store", ["file"], indirect=True)
def test_there_is_no_room_on_the_disk(
    tmp_path: Path, issuer: StrictIssuer, shared_store: StoreOptions
) -> None:
    """No token is asked for that could not be stored, and all go on when there is room."""
    with fleet(tmp_path, issuer, shared_store, machines=1, threads=16) as group:
        held = group.ask().tokens
        before = group.stored
        (machine,) = group.machines
        machine.do("limit", size=20)
        group.let_pass(HOUR)
        for _ in range(3):
            answer = group.ask()
            assert (answer.tokens, set(answer.errors)) == (set(), {"StoreSaveError"})
            assert group.stored == before
            assert issuer.asked == []
        machine.do("limit", size=None)
        answer = group.ask()
        assert (answer.errors, len(answer.tokens)) == ([], 1)
        assert not answer.tokens & held
        assert issuer.asked == [200]
        assert issuer.refreshes(group.stored)
