"""Tests of a fleet during outages of the issuer, the store's server and the disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fleet.issuer import HOUR, StrictIssuer
from tests.fleet.machines import Fleet, StoreOptions, combined, fleet, send_to_all
from tests.valkey import ValkeyServer

pytestmark = pytest.mark.slow

#: Age in seconds at which a token of one hour is in its refresh window but still live.
NEAR_THE_END = HOUR - 100
#: Seconds beyond a deadline that a busy machine may need.
SLACK = 10.0
#: Seconds after which every pause caused by a provider failure is over.
LONG_AFTER = 120.0


def assert_all_keep(group: Fleet, tokens: set[str]) -> None:
    """Check that all callers get the live token."""
    result = group.request()
    assert (result.errors, result.tokens) == ([], tokens)


def assert_all_get_a_new_token(group: Fleet, tokens: set[str], *, refreshes: int = 1) -> None:
    """Check that all callers get one new token, and that it is the newest of the login."""
    before = len(group.issuer.statuses)
    result = group.request()
    assert result.errors == []
    assert len(result.tokens) == 1
    assert not result.tokens & tokens
    assert group.issuer.statuses[before:] == [200] * refreshes
    assert group.issuer.refreshes(group.stored)


@pytest.mark.parametrize("shared_store", ["file", "redis"], indirect=True)
def test_recovers_after_an_outage_of_the_issuer(
    tmp_path: Path, issuer: StrictIssuer, shared_store: StoreOptions
) -> None:
    """The live token is served until it expires; then callers get errors until the issuer is up."""
    with fleet(tmp_path, issuer, shared_store, machines=3, threads=4) as group:
        held = group.request().tokens
        group.advance(NEAR_THE_END)
        issuer.stop()
        for _ in range(3):
            assert_all_keep(group, held)
            noticed = send_to_all(group.machines, "wait_for_refreshes")
            assert set(noticed) == {"ConnectionFailedError"}
            group.advance(10)
        group.advance(100)
        for _ in range(3):
            result = group.request(timeout=1.0)
            assert result.seconds < 1.0 + SLACK
            assert result.tokens == set()
            assert set(result.errors) <= {
                "ConnectionFailedError",
                "ProviderPausedError",
                "WaitTimeoutError",
            }
            group.advance(LONG_AFTER)
        assert issuer.statuses == []
        issuer.start()
        assert_all_get_a_new_token(group, held)


@pytest.mark.parametrize("shared_store", ["redis"], indirect=True)
def test_recovers_after_an_outage_of_the_store(
    tmp_path: Path, issuer: StrictIssuer, shared_store: StoreOptions, valkey: ValkeyServer
) -> None:
    """As for the issuer; no refresh request is sent while its response could not be stored."""
    with fleet(tmp_path, issuer, shared_store, machines=3, threads=4) as group:
        held = group.request().tokens
        group.advance(NEAR_THE_END)
        valkey.stop()
        try:
            for _ in range(3):
                assert_all_keep(group, held)
                assert set(send_to_all(group.machines, "wait_for_refreshes")) == {
                    "StoreUnreadableError"
                }
                group.advance(10)
            group.advance(100)
            for _ in range(3):
                result = group.request()
                assert result.tokens == set()
                assert set(result.errors) == {"StoreUnreadableError"}
            assert issuer.statuses == []
        finally:
            valkey.restart()
        assert_all_get_a_new_token(group, held)


@pytest.mark.parametrize("shared_store", ["redis-short"], indirect=True)
def test_saves_the_token_later_if_the_store_is_down(
    tmp_path: Path, issuer: StrictIssuer, shared_store: StoreOptions, valkey: ValkeyServer
) -> None:
    """The machine keeps the unsaved token in memory and saves it in the next call."""
    with fleet(tmp_path, issuer, shared_store, machines=3, threads=4, stop_at="between") as group:
        held = group.request().tokens
        group.advance(HOUR)
        first, *others = group.machines
        first.send("request")
        first.wait_until_stopped_at("between")
        valkey.stop()
        try:
            first.proceed()
            result = combined([first.receive()])
            assert (result.tokens, set(result.errors)) == (set(), {"StoreSaveError"})
            assert issuer.statuses == [200]
        finally:
            valkey.restart()
        all_get_it = [group.request([first]), group.request(others)]
        assert [result.errors for result in all_get_it] == [[], []]
        assert all_get_it[0].tokens == all_get_it[1].tokens
        assert not all_get_it[0].tokens & held
        assert issuer.statuses == [200]
        assert issuer.refreshes(group.stored)


@pytest.mark.parametrize("shared_store", ["redis-short"], indirect=True)
@pytest.mark.parametrize("window", [0.0, 30.0])
def test_other_machines_refresh_before_an_unsaved_token_is_saved(
    tmp_path: Path, shared_store: StoreOptions, valkey: ValkeyServer, window: float
) -> None:
    """They reuse its refresh token, which works within the reuse window and revokes otherwise."""
    with (
        StrictIssuer(tmp_path, reuse_window=window) as issuer,
        fleet(tmp_path, issuer, shared_store, machines=3, threads=4, stop_at="between") as group,
    ):
        group.advance(HOUR)
        first, *others = group.machines
        first.send("request")
        first.wait_until_stopped_at("between")
        valkey.stop()
        try:
            first.proceed()
            assert set(first.receive()["errors"]) == {"StoreSaveError"}
        finally:
            valkey.restart()
        result = group.request(others)
        if window:
            assert (result.errors, len(result.tokens)) == ([], 1)
            late = group.request([first])
            assert (late.errors, late.tokens) == ([], result.tokens)
            assert issuer.statuses == [200, 200]
            assert issuer.refreshes(group.stored)
        else:
            assert set(result.errors) == {"LoginNeededError"}
            token = group.login_all()
            group.advance(0)
            assert group.request().tokens == {token.access_token}


@pytest.mark.parametrize("shared_store", ["redis"], indirect=True)
def test_a_store_restart_before_the_save_loses_no_token(
    tmp_path: Path, issuer: StrictIssuer, shared_store: StoreOptions, valkey: ValkeyServer
) -> None:
    """The lock survives the restart of the store, so its holder can save."""
    with fleet(tmp_path, issuer, shared_store, machines=3, threads=4, stop_at="between") as group:
        held = group.request().tokens
        group.advance(HOUR)
        first, *others = group.machines
        first.send("request")
        first.wait_until_stopped_at("between")
        valkey.restart()
        first.proceed()
        result = combined([first.receive()])
        assert result.errors == []
        assert group.request(others).tokens == result.tokens
        assert not result.tokens & held
        assert issuer.statuses == [200]
        assert issuer.refreshes(group.stored)


@pytest.mark.parametrize("shared_store", ["file"], indirect=True)
def test_sends_no_refresh_request_while_the_disk_is_full(
    tmp_path: Path, issuer: StrictIssuer, shared_store: StoreOptions
) -> None:
    """No token is requested that could not be stored; callers recover when space is free."""
    with fleet(tmp_path, issuer, shared_store, machines=1, threads=16) as group:
        held = group.request().tokens
        before = group.stored
        (machine,) = group.machines
        machine.do("limit", size=20)
        group.advance(HOUR)
        for _ in range(3):
            result = group.request()
            assert (result.tokens, set(result.errors)) == (set(), {"StoreSaveError"})
            assert group.stored == before
            assert issuer.statuses == []
        machine.do("limit", size=None)
        result = group.request()
        assert (result.errors, len(result.tokens)) == ([], 1)
        assert not result.tokens & held
        assert issuer.statuses == [200]
        assert issuer.refreshes(group.stored)
