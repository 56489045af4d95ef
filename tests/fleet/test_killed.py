"""Tests of a fleet in which a machine is killed while it holds the lock."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from grantway import Client, Token
from grantway_plugins.stores.redis._store import RedisStore
from grantway_plugins.stores.sql._store import SqlStore
from tests.fleet.conftest import LEASE
from tests.fleet.issuer import HOUR, StrictIssuer
from tests.fleet.machines import Fleet, StoreOptions, TokenResults, combined, fleet

pytestmark = pytest.mark.slow

STORES = pytest.mark.parametrize("shared_store", ["file", "redis-short"], indirect=True)
EVERY_STORE = pytest.mark.parametrize(
    "shared_store", ["file", "redis-short", "sql-short"], indirect=True
)
#: Seconds beyond the lease that a busy machine may need; far less than the client's 30.
SLACK = 10.0
#: Token of another login in the same store.
OTHER = Token("another-access", refresh_token="another-refresh")


@contextmanager
def survivors(
    folder: Path, store: StoreOptions, place: str, *, window: float = 0.0
) -> Iterator[tuple[Fleet, TokenResults]]:
    """Kill the machine that refreshes an expired token, and yield the result of the others."""
    with (
        StrictIssuer(folder, reuse_window=window) as issuer,
        fleet(folder, issuer, store, machines=2, threads=4, stop_at=place) as group,
    ):
        assert group.store is not None
        group.store.save("other", OTHER)
        group.advance(HOUR)
        victim, *others = group.machines
        victim.send("request")
        victim.wait_until_stopped_at(place)
        for machine in others:
            machine.send("request", timeout=None)
        victim.kill()
        result = combined([machine.receive() for machine in others])
        assert result.seconds < LEASE + SLACK
        yield Fleet(others, issuer, group.store, group.credential), result
        assert group.store.load("other") == OTHER


def check_next_refresh(group: Fleet) -> None:
    """Check that the next refresh succeeds and stores the newest refresh token."""
    group.advance(HOUR)
    result = group.request()
    assert (result.errors, len(result.tokens)) == ([], 1)
    assert group.issuer.refreshes(group.stored)


@pytest.mark.parametrize("store", [RedisStore, SqlStore])
def test_callers_wait_longer_than_the_lease_of_a_dead_holder(store: Callable[..., object]) -> None:
    """This holds for the default values."""
    lease = inspect.signature(store).parameters["lease"].default
    timeout = inspect.signature(Client).parameters["timeout"].default
    assert lease <= timeout / 2


@STORES
def test_killed_before_sending_the_request(tmp_path: Path, shared_store: StoreOptions) -> None:
    """Another machine sends the refresh request."""
    with survivors(tmp_path, shared_store, "before") as (group, result):
        assert (result.errors, len(result.tokens)) == ([], 1)
        assert group.issuer.statuses == [200]
        check_next_refresh(group)


@STORES
def test_killed_after_storing_the_token(tmp_path: Path, shared_store: StoreOptions) -> None:
    """The other machines load the stored token and send nothing."""
    with survivors(tmp_path, shared_store, "after") as (group, result):
        stored = group.stored
        assert stored is not None
        assert (result.errors, result.tokens) == ([], {stored.access_token})
        assert group.issuer.statuses == [200]
        check_next_refresh(group)


@EVERY_STORE
def test_killed_before_storing_the_token_with_a_reuse_window(
    tmp_path: Path, shared_store: StoreOptions
) -> None:
    """The new refresh token is lost with its machine; the old one works once more."""
    with survivors(tmp_path, shared_store, "between", window=30.0) as (group, result):
        assert (result.errors, len(result.tokens)) == ([], 1)
        assert group.issuer.statuses == [200, 200]
        check_next_refresh(group)


@STORES
def test_killed_before_storing_the_token_without_a_reuse_window(
    tmp_path: Path, shared_store: StoreOptions
) -> None:
    """The login is lost and every caller gets an error; a new login serves all machines."""
    with survivors(tmp_path, shared_store, "between") as (group, result):
        assert result.tokens == set()
        assert result.errors == ["LoginNeededError"] * 4
        assert group.issuer.statuses == [200, 400]
        assert group.stored is None
        again = group.request()
        assert set(again.errors) == {"LoginNeededError"}
        assert group.issuer.statuses == [200, 400]
        token = group.login_all()
        group.advance(0)
        assert group.request().tokens == {token.access_token}
        check_next_refresh(group)
