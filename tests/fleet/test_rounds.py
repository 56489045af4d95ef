"""Tests of repeated expiry: all callers request a token at once, and one refresh serves them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fleet.issuer import HOUR, StrictIssuer
from tests.fleet.machines import Fleet, StoreOptions, combined, fleet, send_to_all

pytestmark = pytest.mark.slow

ROUNDS = 20


def play(group: Fleet) -> None:
    """Check in each round that one refresh serves all callers and is stored."""
    seen: set[str] = set()
    for number in range(1, ROUNDS + 1):
        group.advance(HOUR)
        result = group.request()
        assert result.errors == []
        assert len(result.tokens) == 1
        assert not result.tokens & seen
        assert group.issuer.statuses == [200] * number
        seen |= result.tokens
        if group.has_shared_store:
            stored = group.stored
            assert stored is not None
            assert {stored.access_token} == result.tokens
    if group.has_shared_store:
        assert group.issuer.refreshes(group.stored)


@pytest.mark.parametrize("store", [None, ("memory", {})])
def test_64_threads_share_one_refresh(
    tmp_path: Path, issuer: StrictIssuer, store: StoreOptions | None
) -> None:
    """The threads share one process."""
    with fleet(tmp_path, issuer, store, machines=1, threads=64) as group:
        play(group)


@pytest.mark.parametrize("shared_store", ["file"], indirect=True)
def test_8_processes_share_one_refresh(
    tmp_path: Path, issuer: StrictIssuer, shared_store: StoreOptions
) -> None:
    """The processes share a folder."""
    with fleet(tmp_path, issuer, shared_store, machines=8, threads=4) as group:
        play(group)


@pytest.mark.parametrize("shared_store", ["redis", "sql"], indirect=True)
def test_3_machines_share_one_refresh(
    tmp_path: Path, issuer: StrictIssuer, shared_store: StoreOptions
) -> None:
    """The machines share a server and no files."""
    with fleet(tmp_path, issuer, shared_store, machines=3, threads=8) as group:
        play(group)


@pytest.mark.parametrize("shared_store", ["redis", "sql"], indirect=True)
def test_an_invalidated_token_is_replaced_once(
    tmp_path: Path, issuer: StrictIssuer, shared_store: StoreOptions
) -> None:
    """All callers invalidate the same token, as after a 401 response."""
    with fleet(tmp_path, issuer, shared_store, machines=3, threads=8) as group:
        group.advance(0)
        rejected = group.request().tokens
        assert issuer.statuses == []
        send_to_all(group.machines, "invalidate", rejected=list(rejected))
        result = group.request()
        assert (result.errors, issuer.statuses) == ([], [200])
        assert not result.tokens & rejected
        assert issuer.refreshes(group.stored)


@pytest.mark.parametrize("shared_store", ["redis"], indirect=True)
def test_20_refreshes_in_real_time(tmp_path: Path, shared_store: StoreOptions) -> None:
    """The machines poll continuously, and refresh before the token expires."""
    with (
        StrictIssuer(tmp_path, lifetime=1.0) as issuer,
        fleet(tmp_path, issuer, shared_store, machines=3, threads=4) as group,
    ):
        result = combined(send_to_all(group.machines, "poll", rounds=ROUNDS))
        send_to_all(group.machines, "wait_for_refreshes")
        assert result.errors == []
        stored = group.stored
        assert stored is not None
        # The last token may have been stored after the last poll.
        assert issuer.statuses == [200] * (len(result.tokens | {stored.access_token}) - 1)
        assert issuer.refreshes(stored)
