"""Tests of a fleet in which a machine is suspended beyond its lease, like a closed laptop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fleet.issuer import HOUR, StrictIssuer
from tests.fleet.machines import Fleet, StoreOptions, TokenResults, combined, fleet

pytestmark = pytest.mark.slow

#: Stores whose lease can expire while its holder lives, unlike a file lock.
STORES = pytest.mark.parametrize("shared_store", ["redis-short"], indirect=True)
EVERY_STORE = pytest.mark.parametrize("shared_store", ["redis-short", "sql-short"], indirect=True)


@contextmanager
def suspended(
    folder: Path, store: StoreOptions, place: str, *, window: float
) -> Iterator[tuple[Fleet, TokenResults, TokenResults]]:
    """Yield the other machines' result during the suspension, and the first machine's after it."""
    with (
        StrictIssuer(folder, reuse_window=window) as issuer,
        fleet(folder, issuer, store, machines=3, threads=4, stop_at=place) as group,
    ):
        group.advance(HOUR)
        late, *others = group.machines
        late.send("request", timeout=None)
        late.wait_until_stopped_at(place)
        with late.stopped():
            result = group.request(others)
        late.proceed()
        yield group, result, combined([late.receive()])


@EVERY_STORE
def test_a_late_save_does_not_replace_the_newer_token(
    tmp_path: Path, shared_store: StoreOptions
) -> None:
    """The fence rejects the late save, and the machine uses the newer token."""
    with suspended(tmp_path, shared_store, "between", window=30.0) as (group, result, late):
        assert (result.errors, late.errors) == ([], [])
        assert len(result.tokens) == 1
        assert late.tokens == result.tokens
        assert group.issuer.statuses == [200, 200]
        assert group.issuer.refreshes(group.stored)


@STORES
def test_a_late_request_is_harmless_with_a_reuse_window(
    tmp_path: Path, shared_store: StoreOptions
) -> None:
    """The machine sends a refresh token that the others have used meanwhile."""
    with suspended(tmp_path, shared_store, "before", window=30.0) as (group, result, late):
        assert (result.errors, late.errors) == ([], [])
        assert late.tokens == result.tokens
        assert group.issuer.statuses == [200, 200]
        assert group.issuer.refreshes(group.stored)


@STORES
def test_other_machines_find_the_token_stored_before_the_suspension(
    tmp_path: Path, shared_store: StoreOptions
) -> None:
    """The machine was suspended before it released the lock."""
    with suspended(tmp_path, shared_store, "after", window=0.0) as (group, result, late):
        assert (result.errors, late.errors) == ([], [])
        assert late.tokens == result.tokens
        assert group.issuer.statuses == [200]
        assert group.issuer.refreshes(group.stored)


@STORES
def test_a_late_request_revokes_the_login_without_a_reuse_window(
    tmp_path: Path, shared_store: StoreOptions
) -> None:
    """No lock can prevent a request sent after the lease expired. All machines must log in."""
    with suspended(tmp_path, shared_store, "before", window=0.0) as (group, result, late):
        assert (result.errors, len(result.tokens)) == ([], 1)
        assert group.issuer.statuses == [200, 400]
        # It uses the token that the others stored, which has not expired.
        assert late.errors == []
        assert late.tokens == result.tokens
        assert not any(group.issuer.is_active(token) for token in result.tokens)
        group.advance(HOUR)
        assert set(group.request().errors) == {"LoginNeededError"}
        token = group.login_all()
        group.advance(0)
        assert group.request().tokens == {token.access_token}
