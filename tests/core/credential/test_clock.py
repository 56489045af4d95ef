"""Clock changes: expired tokens are not returned, and no token is lost."""

from __future__ import annotations

import pytest

from grantway import Freshness
from grantway._exceptions import OutcomeUnknownError
from grantway_plugins.stores.memory._store import MemoryStore
from tests import faults
from tests.core.credential.conftest import Start
from tests.core.credential.scenes import SECRET, Clock, issue, wait_for_refreshes

EXACT = Freshness(jitter=0)


@pytest.mark.parametrize("with_store", [True, False])
def test_setting_the_clock_back_does_not_prolong_a_token(
    with_store: bool, start: Start, clock: Clock
) -> None:
    client, server = start(issue())
    store = MemoryStore() if with_store else None
    credential = client.credential(**SECRET, store=store, freshness=EXACT)
    credential.token()
    clock.step(1800)
    clock.set(-3600)
    assert credential.token().access_token == "at-1"
    clock.step(1800)  # an hour has passed, whatever the wall clock says
    assert credential.token().access_token == "at-2"
    assert len(server.requests) == 2
    assert credential.fresh


def test_setting_the_clock_back_does_not_prolong_a_stored_token(start: Start, clock: Clock) -> None:
    client, _ = start(issue())
    store = MemoryStore()
    client.credential(**SECRET, store=store).token()
    clock.set(-86_400)
    late = client.credential(**SECRET, store=store, freshness=EXACT)
    assert late.token().access_token == "at-1"
    clock.step(3600)
    assert late.token().access_token == "at-2"


@pytest.mark.parametrize("with_store", [True, False])
def test_a_clock_set_ahead_causes_a_refresh_and_loses_nothing(
    with_store: bool, start: Start, clock: Clock
) -> None:
    client, server = start(issue())
    store = MemoryStore() if with_store else None
    credential = client.credential(**SECRET, store=store, freshness=EXACT)
    credential.token()
    clock.set(3600)
    assert credential.token().access_token == "at-2"
    assert server.requests[1].form["refresh_token"] == ["rt-1"]
    clock.set(-3600)  # corrected
    assert credential.token().access_token == "at-2"
    clock.step(3600)
    assert credential.token().access_token == "at-3"
    assert server.requests[2].form["refresh_token"] == ["rt-2"]


def test_does_not_return_a_token_that_expired_during_sleep(start: Start, clock: Clock) -> None:
    client, server = start(issue())
    credential = client.credential(**SECRET, freshness=EXACT)
    credential.token()
    clock.set(8 * 3600)  # the monotonic clock stops during sleep
    assert not credential.fresh
    assert credential.token().access_token == "at-2"
    assert len(server.requests) == 2


def test_a_sleep_into_the_advisory_window_starts_a_background_refresh(
    start: Start, clock: Clock
) -> None:
    client, _ = start(issue())
    credential = client.credential(**SECRET, freshness=EXACT)
    credential.token()
    clock.set(3400)
    assert credential.token().access_token == "at-1"
    wait_for_refreshes()
    assert credential.token().access_token == "at-2"


def test_keeps_the_token_if_the_provider_fails_after_a_clock_change(
    start: Start, clock: Clock
) -> None:
    client, server = start(issue(), faults.reset_after_request, issue())
    store = MemoryStore()
    credential = client.credential(**SECRET, store=store, freshness=EXACT)
    first = credential.token()
    clock.set(3600)
    with pytest.raises(OutcomeUnknownError):
        credential.token()
    clock.set(-3600)
    # The token had not expired.
    assert credential.token() == first == store.load(credential.key)
    wait_for_refreshes()
    assert server.requests[1].form["refresh_token"] == ["rt-1"]
