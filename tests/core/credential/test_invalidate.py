"""Tokens that a resource server rejected."""

from __future__ import annotations

from functools import partial

from grantway_plugins.stores.memory._store import MemoryStore
from tests.core.credential.conftest import Start
from tests.core.credential.scenes import (
    SECRET,
    Clock,
    Gate,
    issue,
    run_together,
    token,
    wait_for_refreshes,
)


def test_64_reports_about_one_token_cause_one_refresh(start: Start) -> None:
    client, server = start(issue())
    credential = client.credential(**SECRET)
    old = credential.token()

    def use() -> str:
        credential.invalidate(old)
        return credential.token().access_token

    assert set(run_together([use] * 64)) == {"at-2"}
    assert len(server.requests) == 2


def test_ignores_a_report_about_a_replaced_token(start: Start) -> None:
    client, server = start(issue())
    credential = client.credential(**SECRET)
    old = credential.token()
    credential.invalidate(old)
    credential.token()
    credential.invalidate(old)
    assert credential.fresh
    assert credential.token().access_token == "at-2"
    assert len(server.requests) == 2


def test_does_not_use_a_rejected_token_from_the_store(start: Start) -> None:
    client, server = start(issue())
    store = MemoryStore()
    one, other = (client.credential(**SECRET, store=store) for _ in range(2))
    old = one.token()
    assert other.token() == old
    other.invalidate(old)
    assert other.token().access_token == "at-2"
    one.invalidate(old)
    assert one.token().access_token == "at-2"
    assert [each.form.get("refresh_token") for each in server.requests] == [None, ["rt-1"]]


def test_does_not_return_a_token_that_is_rejected_during_its_refresh(
    start: Start, clock: Clock
) -> None:
    gate = Gate()
    client, _ = start(issue(), gate)
    credential = client.credential(**SECRET)
    old = credential.token()
    clock.step(3500)
    assert credential.token() == old  # a refresh starts
    gate.wait()
    credential.invalidate(old)
    credential._state.serve_for(100)
    assert not credential.fresh
    gate.opened.set()
    assert credential.token().access_token == "at-2"


def test_accepts_a_rejected_token_that_the_provider_issues_again(start: Start) -> None:
    client, server = start(issue(access_token="at-same"))
    credential = client.credential(**SECRET)
    old = credential.token()
    for requests in (2, 3):
        credential.invalidate(old)
        assert credential.token().access_token == "at-same"
        assert credential.token().access_token == "at-same"
        assert len(server.requests) == requests


def test_does_not_use_a_rejected_token_found_by_another_credential(start: Start) -> None:
    client, server = start(issue())
    store = MemoryStore()
    one, other = (client.credential(**SECRET, store=store) for _ in range(2))
    store.save(one.key, token(7))
    old = other.token()
    other.invalidate(old)
    # `one` does not know of the rejection and may load the old token first.
    found = run_together([one.token, *[partial(other.token)] * 8])
    wait_for_refreshes()
    assert {each.access_token for each in found[1:]} == {"at-1"}
    assert len(server.requests) == 1


def test_does_not_use_a_rejected_token_that_reappears_in_the_store(start: Start) -> None:
    client, server = start(issue())
    store = MemoryStore()
    credential = client.credential(**SECRET, store=store)
    store.save(credential.key, token(7))
    old = credential.token()
    credential.invalidate(old)
    new = credential.token()
    credential._state.token = token(8, seconds_left=-1)  # neither of the two, and expired
    credential._state.until = credential._state.end = 0.0
    store.save(credential.key, old)
    assert credential.token() not in (old, new)
    assert [each.form["refresh_token"] for each in server.requests] == [["rt-7"], ["rt-7"]]
