"""Removal of tokens: after the provider rejected the refresh token, and at a logout."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from grantway._exceptions import GrantwayError, LoginNeededError
from grantway_plugins.stores.memory._store import MemoryStore
from tests import faults
from tests.core.credential.conftest import Start
from tests.core.credential.doubles import FaultyStore
from tests.core.credential.scenes import Clock, Gate, issue, reject, token, wait_for_refreshes
from tests.faults import Act

DEVICE: dict[str, Any] = {"grant_type": "urn:ietf:params:oauth:grant-type:device_code"}


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(faults.reset_after_request, id="reset"),
        pytest.param(faults.respond(500, b""), id="500"),
        pytest.param(faults.respond(503, b""), id="503"),
        pytest.param(faults.respond(200, b"<html>"), id="page"),
        pytest.param(reject("invalid_client", 401), id="invalid_client"),
        pytest.param(reject("unauthorized_client"), id="unauthorized_client"),
        pytest.param(reject("invalid_scope"), id="invalid_scope"),
        pytest.param(reject("something_else"), id="unknown"),
    ],
)
def test_other_failures_keep_the_refresh_token(act: Act, start: Start, clock: Clock) -> None:
    client, server = start(act, issue())
    store = MemoryStore()
    credential = client.credential(**DEVICE, store=store)
    credential.accept(token(9))
    clock.step(3600)
    with pytest.raises(GrantwayError) as caught:
        credential.token()
    assert not isinstance(caught.value, LoginNeededError)
    stored = store.load(credential.key)
    assert stored is not None
    assert stored.refresh_token == "rt-9"
    clock.step(10)
    assert credential.token().access_token == "at-2"
    assert [each.form["refresh_token"] for each in server.requests] == [["rt-9"], ["rt-9"]]


@pytest.mark.parametrize("code", ["invalid_grant", "expired_token"])
def test_removes_a_rejected_refresh_token(code: str, start: Start, clock: Clock) -> None:
    client, server = start(reject(code, words="revoked on Monday"))
    store = MemoryStore()
    credential = client.credential(**DEVICE, store=store)
    credential.accept(token(9))
    clock.step(3600)
    for _ in range(5):
        with pytest.raises(LoginNeededError, match="revoked on Monday"):
            credential.token()
    assert len(server.requests) == 1
    assert store.load(credential.key) is None
    credential.accept(token(10, seconds_left=7200, expires_in=7200))
    assert credential.token().access_token == "at-10"
    assert credential.last_error is None


@pytest.mark.parametrize("with_store", [True, False])
def test_keeps_a_valid_access_token_without_its_rejected_refresh_token(
    with_store: bool, start: Start, clock: Clock
) -> None:
    client, server = start(reject(words="revoked on Monday"))
    store = MemoryStore() if with_store else None
    credential = client.credential(**DEVICE, store=store)
    credential.accept(token(9))
    clock.step(3500)
    for _ in range(5):
        assert credential.token().access_token == "at-9"
        wait_for_refreshes()
        clock.step(5)
    if store is not None:
        stored = store.load(credential.key)
        assert stored is not None
        assert (stored.access_token, stored.refresh_token) == ("at-9", None)
    assert isinstance(credential.last_error, LoginNeededError)
    clock.step(180)
    # The error of the background refresh is raised when the token has expired.
    with pytest.raises(LoginNeededError, match="revoked on Monday"):
        credential.token()
    assert len(server.requests) == 1


def test_uses_a_rejected_refresh_token_that_a_new_login_returns_again(
    start: Start, clock: Clock
) -> None:
    client, server = start(reject(), issue())
    credential = client.credential(**DEVICE)
    credential.accept(token(9))
    clock.step(3600)
    with pytest.raises(LoginNeededError):
        credential.token()
    credential.accept(token(9, seconds_left=7200))
    clock.step(3600)
    assert credential.token().access_token == "at-2"
    assert len(server.requests) == 2


def test_uses_a_token_that_was_stored_without_the_lock(start: Start, clock: Clock) -> None:
    store = MemoryStore()

    def store_another_first(stage: faults.Stage) -> bool:
        store.save(credential.key, token(50, seconds_left=7200, expires_in=7200))
        return reject()(stage)

    client, server = start(store_another_first)
    credential = client.credential(**DEVICE, store=store)
    credential.accept(token(9))
    clock.step(3600)
    assert credential.token().access_token == "at-50"
    assert len(server.requests) == 1


def test_tries_a_newer_refresh_token_of_an_expired_token(start: Start, clock: Clock) -> None:
    store = MemoryStore()

    def store_another_first(stage: faults.Stage) -> bool:
        store.save(credential.key, token(50))
        return reject()(stage)

    client, server = start(store_another_first, issue())
    credential = client.credential(**DEVICE, store=store)
    credential.accept(token(9))
    clock.step(3600)
    assert credential.token().access_token == "at-2"
    assert [each.form["refresh_token"] for each in server.requests] == [["rt-9"], ["rt-50"]]


def test_does_not_remove_the_token_of_a_later_holder(start: Start, clock: Clock) -> None:
    store = FaultyStore()
    client, _ = start(reject())
    credential = client.credential(**DEVICE, store=store)
    credential.accept(token(9))
    clock.step(3600)
    newer = token(50, seconds_left=7200, expires_in=7200)
    store.meanwhile = lambda: MemoryStore.save(store, credential.key, newer)
    with pytest.raises(LoginNeededError):
        credential.token()
    assert credential.token() == newer


# --- logout ---------------------------------------------------------------------------------------


def test_a_logout_removes_the_token_from_the_credential_and_the_store(start: Start) -> None:
    client, server = start(issue())
    store = MemoryStore()
    credential = client.credential(**DEVICE, store=store)
    credential.accept(token(9))
    credential.forget()
    assert store.load(credential.key) is None
    assert not credential.fresh
    with pytest.raises(LoginNeededError, match="Log in"):
        credential.token()
    assert not server.requests
    credential.accept(token(10))
    assert credential.token().access_token == "at-10"


@pytest.mark.parametrize("with_store", [True, False])
def test_a_logout_takes_precedence_over_a_running_refresh(
    with_store: bool, start: Start, clock: Clock
) -> None:
    gate = Gate()
    client, server = start(gate)
    store = MemoryStore() if with_store else None
    credential = client.credential(**DEVICE, store=store)
    credential.accept(token(9))
    clock.step(3500)
    credential.token()
    gate.wait()
    with ThreadPoolExecutor(1) as threads:
        logout = threads.submit(credential.forget)
        if not with_store:  # otherwise it waits for the lock that the refresh holds
            logout.result()
        gate.opened.set()
        logout.result()
    wait_for_refreshes()
    assert store is None or store.load(credential.key) is None
    with pytest.raises(LoginNeededError):
        credential.token()
    assert len(server.requests) == 1


def test_does_not_use_the_given_refresh_token_after_a_logout(start: Start) -> None:
    client, server = start(issue())
    credential = client.credential(grant_type="refresh_token", refresh_token="rt-seed")
    credential.token()
    credential.forget()
    with pytest.raises(LoginNeededError):
        credential.token()
    assert len(server.requests) == 1


def test_repeats_the_grant_after_a_logout(start: Start) -> None:
    client, _ = start(issue())
    credential = client.credential(grant_type="client_credentials")
    credential.token()
    credential.forget()
    assert credential.token().access_token == "at-2"


def test_requires_a_login_without_sending_if_there_is_no_token(start: Start) -> None:
    client, server = start(issue())
    with pytest.raises(LoginNeededError, match=r"accept\(\)"):
        client.credential(**DEVICE).token()
    assert not server.requests


@pytest.mark.parametrize("in_event_loop", [False, True])
def test_a_logout_during_a_call_never_returns_an_empty_token(
    in_event_loop: bool, start: Start
) -> None:
    class LogOut(float):
        """A time that is compared just before a logout in another thread."""

        def __gt__(self, other: float) -> bool:
            credential.forget()
            return True

    client, _ = start()
    credential = client.credential(**DEVICE)
    credential.accept(token(9))
    credential._state.until = LogOut()
    with pytest.raises(LoginNeededError):
        asyncio.run(credential.token_async()) if in_event_loop else credential.token()
