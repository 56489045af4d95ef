"""Clocks that jump: no dead token goes out, and none is lost."""

from __future__ import annotations

import pytest

from grantway import Freshness
from grantway._exceptions import OutcomeUnknownError
from grantway_plugins.stores.memory._store import MemoryStore
from tests import faults
from tests.core.credential.conftest import Start
from tests.core.credential.scenes import SECRET, Clock, issue, settle_down

EXACT = Freshness(jitter=0)


@pytest.mark.parametrize("with_store", [True, False])
def test_set_back_an_hour_it_lives_no_longer(with_store: bool, start: Start, clock: Clock) -> None:
    client, server = start(issue())
    store = MemoryStore() if with_store else None
    credential = client.credential(**SECRET, store=store, freshness=EXACT)
    credential.token()
    clock.step(1800)
    clock.set(-3600)
    assert credential.token().access_token == "at-1"
    clock.step(1800)  # its hour is over, whatever the wall clock says
    assert credential.token().access_token == "at-2"
    assert len(server.requests) == 2
    assert credential.fresh


def test_set_back_a_stored_token_is_no_younger_than_it_was(start: Start, clock: Clock) -> None:
    client, _ = start(issue())
    store = MemoryStore()
    client.credential(**SECRET, store=store).token()
    clock.set(-86_400)
    late = client.credential(**SECRET, store=store, freshness=EXACT)
    assert late.token().access_token == "at-1"
    clock.step(3600)
    assert late.token().access_token == "at-2"


@pytest.mark.parametrize("with_store", [True, False])
def test_an_hour_ahead_it_is_renewed_and_nothing_is_lost(
    with_store: bool, start: Start, clock: Clock
) -> None:
    client, server = start(issue())
    store = MemoryStore() if with_store else None
    credential = client.credential(**SECRET, store=store, freshness=EXACT)
    credential.token()
    clock.set(3600)
    assert credential.token().access_token == "at-2"
    assert server.requests[1].form["refresh_token"] == ["rt-1"]
    clock.set(-3600)  # and right again
    assert credential.token().access_token == "at-2"
    clock.step(3600)
    assert credential.token().access_token == "at-3"
    assert server.requests[2].form["refresh_token"] == ["rt-2"]


def test_after_a_sleep_the_dead_token_does_not_go_out(start: Start, clock: Clock) -> None:
    client, server = start(issue())
    credential = client.credential(**SECRET, freshness=EXACT)
    credential.token()
    clock.set(8 * 3600)  # monotonic time stood still
    assert not credential.fresh
    assert credential.token().access_token == "at-2"
    assert len(server.requests) == 2


def test_a_short_sleep_into_the_advisory_window_renews_behind_the_scenes(
    start: Start, clock: Clock
) -> None:
    client, _ = start(issue())
    credential = client.credential(**SECRET, freshness=EXACT)
    credential.token()
    clock.set(3400)
    assert credential.token().access_token == "at-1"
    settle_down()
    assert credential.token().access_token == "at-2"


def test_a_provider_that_fails_after_a_jump_costs_no_token(start: Start, clock: Clock) -> None:
    client, server = start(issue(), faults.reset_after_request, issue())
    store = MemoryStore()
    credential = client.credential(**SECRET, store=store, freshness=EXACT)
    first = credential.token()
    clock.set(3600)
    with pytest.raises(OutcomeUnknownError):
        credential.token()
    clock.set(-3600)
    # It was never dead.
    assert credential.token() == first == store.load(credential.key)
    settle_down()
    assert server.requests[1].form["refresh_token"] == ["rt-1"]
