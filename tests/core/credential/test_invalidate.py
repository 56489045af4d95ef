"""A token that did not work where it was used."""

from __future__ import annotations

from functools import partial

from grantway_plugins.stores.memory._store import MemoryStore
from tests.core.credential.conftest import Start
from tests.core.credential.scenes import SECRET, Clock, Gate, at_once, issue, settle_down, token


def test_of_64_threads_that_say_it_one_fetches(start: Start) -> None:
    client, server = start(issue())
    credential = client.credential(**SECRET)
    old = credential.token()

    def use() -> str:
        credential.invalidate(old)
        return credential.token().access_token

    assert set(at_once([use] * 64)) == {"at-2"}
    assert len(server.requests) == 2


def test_of_an_old_token_it_is_nothing(start: Start) -> None:
    client, server = start(issue())
    credential = client.credential(**SECRET)
    old = credential.token()
    credential.invalidate(old)
    credential.token()
    credential.invalidate(old)
    assert credential.fresh
    assert credential.token().access_token == "at-2"
    assert len(server.requests) == 2


def test_the_rejected_token_is_not_taken_from_the_store(start: Start) -> None:
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


def test_it_is_never_given_out_again_while_its_renewal_fails(start: Start, clock: Clock) -> None:
    """Also when it is rejected at the moment that a background renewal begins."""
    gate = Gate()
    client, _ = start(issue(), gate)
    credential = client.credential(**SECRET)
    old = credential.token()
    clock.step(3500)
    assert credential.token() == old  # a renewal begins
    gate.wait()
    credential.invalidate(old)
    credential._state.serve_for(100)
    assert not credential.fresh
    gate.opened.set()
    assert credential.token().access_token == "at-2"


def test_a_provider_that_gives_the_same_again_is_believed(start: Start) -> None:
    client, server = start(issue(access_token="at-same"))
    credential = client.credential(**SECRET)
    old = credential.token()
    for asked in (2, 3):
        credential.invalidate(old)
        assert credential.token().access_token == "at-same"
        assert credential.token().access_token == "at-same"
        assert len(server.requests) == asked


def test_another_credentials_work_does_not_bring_it_back(start: Start) -> None:
    client, server = start(issue())
    store = MemoryStore()
    one, other = (client.credential(**SECRET, store=store) for _ in range(2))
    store.save(one.key, token(7))
    old = other.token()
    other.invalidate(old)
    # Both at once: the one, which does not know, may find the old one in the store first.
    found = at_once([one.token, *[partial(other.token)] * 8])
    settle_down()
    assert {each.access_token for each in found[1:]} == {"at-1"}
    assert len(server.requests) == 1


def test_what_was_rejected_once_is_not_taken_from_a_store_that_brings_it_back(start: Start) -> None:
    client, server = start(issue())
    store = MemoryStore()
    credential = client.credential(**SECRET, store=store)
    store.save(credential.key, token(7))
    old = credential.token()
    credential.invalidate(old)
    new = credential.token()
    credential._state.token = token(8, lives=-1)  # what is held is neither of the two, and dead
    credential._state.until = credential._state.end = 0.0
    store.save(credential.key, old)
    assert credential.token() not in (old, new)
    assert [each.form["refresh_token"] for each in server.requests] == [["rt-7"], ["rt-7"]]
