"""A machine is killed while it holds the lock: what the others get, and when."""

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
from tests.fleet.machines import Answer, Fleet, StoreOptions, fleet

STORES = pytest.mark.parametrize("shared_store", ["file", "redis-short"], indirect=True)
EVERY_STORE = pytest.mark.parametrize(
    "shared_store", ["file", "redis-short", "sql-short"], indirect=True
)
#: Seconds that the others may need beyond the lease, on a busy machine; far from the client's 30.
SLACK = 10.0
#: Of another login, in the same store.
OTHER = Token("another-access", refresh_token="another-refresh")


@contextmanager
def survivors(
    folder: Path, store: StoreOptions, place: str, *, window: float = 0.0
) -> Iterator[tuple[Fleet, Answer]]:
    """All ask at an end; who came first is killed at a place, and the others' answer is given."""
    with (
        StrictIssuer(folder, reuse_window=window) as issuer,
        fleet(folder, issuer, store, machines=2, threads=4, stop_at=place) as group,
    ):
        assert group.store is not None
        group.store.save("other", OTHER)
        group.let_pass(HOUR)
        victim, *others = group.machines
        victim.tell("ask")
        victim.hears_that_it_is(place)
        for machine in others:
            machine.tell("ask", timeout=None)
        victim.kill()
        (heard,) = (machine.hear() for machine in others)
        answer = Answer(set(heard["tokens"]), heard["errors"], heard["seconds"])
        assert answer.seconds < LEASE + SLACK
        yield Fleet(others, issuer, group.store, group.credential), answer
        assert group.store.load("other") == OTHER


def go_on(group: Fleet) -> None:
    """The next end goes well, and the newest refresh token is stored."""
    group.let_pass(HOUR)
    answer = group.ask()
    assert (answer.errors, len(answer.tokens)) == ([], 1)
    assert group.issuer.refreshes(group.stored)


@pytest.mark.parametrize("store", [RedisStore, SqlStore])
def test_a_caller_outlasts_the_lease_of_who_died(store: Callable[..., object]) -> None:
    """Where nobody has set either."""
    lease = inspect.signature(store).parameters["lease"].default
    timeout = inspect.signature(Client).parameters["timeout"].default
    assert lease <= timeout / 2


@STORES
def test_before_it_sent_anything(tmp_path: Path, shared_store: StoreOptions) -> None:
    """Nothing happened: the others do the work."""
    with survivors(tmp_path, shared_store, "before") as (group, answer):
        assert (answer.errors, len(answer.tokens)) == ([], 1)
        assert group.issuer.asked == [200]
        go_on(group)


@STORES
def test_after_it_had_stored(tmp_path: Path, shared_store: StoreOptions) -> None:
    """The others find the token, and send nothing."""
    with survivors(tmp_path, shared_store, "after") as (group, answer):
        stored = group.stored
        assert stored is not None
        assert (answer.errors, answer.tokens) == ([], {stored.access_token})
        assert group.issuer.asked == [200]
        go_on(group)


@EVERY_STORE
def test_between_sending_and_storing_where_the_provider_forgives(
    tmp_path: Path, shared_store: StoreOptions
) -> None:
    """The new refresh token died with its machine; the old one works once more."""
    with survivors(tmp_path, shared_store, "between", window=30.0) as (group, answer):
        assert (answer.errors, len(answer.tokens)) == ([], 1)
        assert group.issuer.asked == [200, 200]
        go_on(group)


@STORES
def test_between_sending_and_storing_where_it_does_not(
    tmp_path: Path, shared_store: StoreOptions
) -> None:
    """The login is lost, and everybody is told so; a new one helps all."""
    with survivors(tmp_path, shared_store, "between") as (group, answer):
        assert answer.tokens == set()
        assert answer.errors == ["LoginNeededError"] * 4
        assert group.issuer.asked == [200, 400]
        assert group.stored is None
        again = group.ask()
        assert set(again.errors) == {"LoginNeededError"}
        assert group.issuer.asked == [200, 400]
        token = group.log_in()
        group.let_pass(0)
        assert group.ask().tokens == {token.access_token}
        go_on(group)
