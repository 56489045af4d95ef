"""A machine is stopped past its lease and goes on later, as a laptop that was shut."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fleet.issuer import HOUR, StrictIssuer
from tests.fleet.machines import Answer, Fleet, StoreOptions, fleet, gathered

#: Where a lease can end while its holder lives. The system's lock of a file cannot.
STORES = pytest.mark.parametrize("shared_store", ["redis-short"], indirect=True)
EVERY_STORE = pytest.mark.parametrize("shared_store", ["redis-short", "sql-short"], indirect=True)


@contextmanager
def woken(
    folder: Path, store: StoreOptions, place: str, *, window: float
) -> Iterator[tuple[Fleet, Answer, Answer]]:
    """What the others got while the first machine slept, and what it got when it woke up."""
    with (
        StrictIssuer(folder, reuse_window=window) as issuer,
        fleet(folder, issuer, store, machines=3, threads=4, stop_at=place) as group,
    ):
        group.let_pass(HOUR)
        late, *others = group.machines
        late.tell("ask", timeout=None)
        late.hears_that_it_is(place)
        with late.stopped():
            answer = group.ask(others)
        late.go_on()
        yield group, answer, gathered([late.hear()])


@EVERY_STORE
def test_its_token_does_not_replace_the_newer_one(
    tmp_path: Path, shared_store: StoreOptions
) -> None:
    """It had its answer, and had not saved it. The fence refuses that; it takes the newer one."""
    with woken(tmp_path, shared_store, "between", window=30.0) as (group, answer, late):
        assert (answer.errors, late.errors) == ([], [])
        assert len(answer.tokens) == 1
        assert late.tokens == answer.tokens
        assert group.issuer.asked == [200, 200]
        assert group.issuer.refreshes(group.stored)


@STORES
def test_what_it_sends_late_harms_nobody_where_the_provider_forgives(
    tmp_path: Path, shared_store: StoreOptions
) -> None:
    """It had not sent its refresh token, which others have used by now."""
    with woken(tmp_path, shared_store, "before", window=30.0) as (group, answer, late):
        assert (answer.errors, late.errors) == ([], [])
        assert late.tokens == answer.tokens
        assert group.issuer.asked == [200, 200]
        assert group.issuer.refreshes(group.stored)


@STORES
def test_what_it_has_stored_is_what_the_others_found(
    tmp_path: Path, shared_store: StoreOptions
) -> None:
    """It had not yet set the lock free."""
    with woken(tmp_path, shared_store, "after", window=0.0) as (group, answer, late):
        assert (answer.errors, late.errors) == ([], [])
        assert late.tokens == answer.tokens
        assert group.issuer.asked == [200]
        assert group.issuer.refreshes(group.stored)


@STORES
def test_what_it_sends_late_ends_the_login_where_the_provider_does_not_forgive(
    tmp_path: Path, shared_store: StoreOptions
) -> None:
    """A lock cannot call back what its holder sends after its end. All are told to log in."""
    with woken(tmp_path, shared_store, "before", window=0.0) as (group, answer, late):
        assert (answer.errors, len(answer.tokens)) == ([], 1)
        assert group.issuer.asked == [200, 400]
        # It goes on with what the others have stored, which still looks alive.
        assert late.errors == []
        assert late.tokens == answer.tokens
        assert not any(group.issuer.takes(token) for token in answer.tokens)
        group.let_pass(HOUR)
        assert set(group.ask().errors) == {"LoginNeededError"}
        token = group.log_in()
        group.let_pass(0)
        assert group.ask().tokens == {token.access_token}
