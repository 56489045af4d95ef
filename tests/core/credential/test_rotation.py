"""A new refresh token rests before anybody has the access token that came with it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from grantway import Token
from grantway._exceptions import LoginNeededError, StoreSaveError, StoreUnreadableError
from grantway_plugins.stores.file._store import FileStore
from grantway_plugins.stores.memory._store import MemoryStore
from tests.core.credential.conftest import Start
from tests.core.credential.doubles import FaultyStore
from tests.core.credential.scenes import Clock, issue, refuse, settle_down, token

DEVICE: dict[str, Any] = {"grant_type": "urn:ietf:params:oauth:grant-type:device_code"}
LATER = {"lives": 7200, "expires_in": 7200}


def test_the_store_first_then_on_token_then_the_callers(
    start: Start, clock: Clock, tmp_path: Path
) -> None:
    client, _ = start(issue())
    store = FileStore(tmp_path)
    seen: list[tuple[str, str | None, str]] = []

    def look(new: Token) -> None:
        stored = store.load(credential.key)
        assert stored is not None
        seen.append((new.access_token, stored.refresh_token, credential._state.token.access_token))

    credential = client.credential(**DEVICE, store=store, on_token=look)
    credential.accept(token(9))
    for rounds in (1, 2, 3):
        clock.step(3600)
        assert credential.token().access_token == f"at-{rounds}"
    # At each call the store has the new one, and callers would still get the one before.
    assert seen == [("at-1", "rt-1", "at-9"), ("at-2", "rt-2", "at-1"), ("at-3", "rt-3", "at-2")]


def test_a_strict_issuer_is_refreshed_many_times(grantway_issuer: Any, clock: Clock) -> None:
    """A real issuer over sockets: each refresh token works once."""
    from grantway_grants import device_code  # noqa: PLC0415 - only here

    client = grantway_issuer.client()
    store = MemoryStore()
    credential = client.credential(**DEVICE, store=store)
    credential.accept(device_code.login(client, lambda authorization: None, scope=["read"]))
    tokens = {credential.token().access_token}
    for _ in range(10):
        clock.step(3600)
        with ThreadPoolExecutor(8) as threads:
            found = {
                each.access_token for each in threads.map(lambda _: credential.token(), "8" * 8)
            }
        assert len(found) == 1
        tokens |= found
    assert len(tokens) == 11
    assert store.load(credential.key) == credential.token()


def test_a_failed_save_is_raised_with_the_token_and_made_good_later(
    start: Start, clock: Clock
) -> None:
    client, server = start(issue())
    store = FaultyStore()
    told: list[Token] = []
    credential = client.credential(**DEVICE, store=store, on_token=told.append)
    credential.accept(token(9))
    clock.step(3600)
    store.full = True
    for _ in range(2):
        with pytest.raises(StoreSaveError, match="the next call saves it") as caught:
            credential.token()
        assert caught.value.token is not None
        assert caught.value.token.refresh_token == "rt-1"
    assert told == []
    assert credential.holds_the_only_copy()
    store.full = False
    assert credential.token() == store.load(credential.key) == told[0]
    assert not credential.holds_the_only_copy()
    assert len(server.requests) == 1


def test_a_live_token_goes_out_while_the_store_is_full(start: Start, clock: Clock) -> None:
    client, server = start(issue())
    store = FaultyStore()
    credential = client.credential(**DEVICE, store=store)
    credential.accept(token(9))
    store.full = True
    clock.step(3500)
    assert credential.token().access_token == "at-9"
    settle_down()
    assert isinstance(credential.last_error, StoreSaveError)
    store.full = False
    clock.step(60)
    assert credential.token().access_token == "at-9"
    settle_down()
    assert credential.token().access_token == "at-1"
    assert store.load(credential.key) == credential.token()
    assert len(server.requests) == 1


@pytest.mark.parametrize("with_store", [True, False])
def test_what_on_token_raises_goes_to_the_caller_and_is_tried_again(
    with_store: bool, start: Start, clock: Clock
) -> None:
    client, server = start(issue())
    store = MemoryStore() if with_store else None
    told: list[Token] = []

    def tell(new: Token) -> None:
        told.append(new)
        if len(told) < 3:
            raise LookupError("the ledger is closed")

    credential = client.credential(**DEVICE, store=store, on_token=tell)
    credential.accept(token(9))
    clock.step(3600)
    for _ in range(2):
        with pytest.raises(LookupError, match="the ledger is closed"):
            credential.token()
    assert credential.token().access_token == "at-1"
    assert told == [credential.token()] * 3
    assert len(server.requests) == 1


def test_on_token_is_told_again_where_a_store_keeps_less_of_a_token(
    start: Start, clock: Clock
) -> None:
    class Lossy(MemoryStore):
        def load(self, key: str) -> Token | None:
            stored = super().load(key)
            return stored and replace(stored, scope=None, expires_in=None)

    client, _ = start(issue(scope="read"))
    told: list[str] = []

    def tell(new: Token) -> None:
        told.append(new.access_token)
        if len(told) == 1:
            raise LookupError("the ledger is closed")

    credential = client.credential(**DEVICE, store=Lossy(), on_token=tell)
    credential.accept(token(9))
    clock.step(3600)
    with pytest.raises(LookupError):
        credential.token()
    assert credential.token().access_token == "at-1"
    assert told == ["at-1", "at-1"]


def test_a_login_elsewhere_counts_over_a_token_that_waits_to_be_saved(
    start: Start, clock: Clock
) -> None:
    client, server = start(issue())
    store = FaultyStore()
    credential = client.credential(**DEVICE, store=store)
    credential.accept(token(9))
    clock.step(3600)
    store.full = True
    with pytest.raises(StoreSaveError):
        credential.token()
    store.full = False
    store.save(credential.key, token(50, **LATER))
    assert credential.token().access_token == "at-50"
    assert not credential.holds_the_only_copy()
    assert len(server.requests) == 1


def test_what_waits_to_be_saved_outlives_that_another_found_its_predecessor_spent(
    start: Start, clock: Clock
) -> None:
    """Another process sent the old refresh token, was refused, and withdrew it."""
    client, server = start(issue())
    store = FaultyStore()
    credential = client.credential(**DEVICE, store=store)
    credential.accept(token(9))
    clock.step(3600)
    store.full = True
    with pytest.raises(StoreSaveError):
        credential.token()
    store.full = False
    store.save(credential.key, token(9, refresh_token=None))
    assert credential.token().refresh_token == "rt-1"
    assert len(server.requests) == 1


def test_a_store_that_cannot_be_read_sends_nothing_and_loses_nothing(
    start: Start, clock: Clock
) -> None:
    client, server = start(issue())
    store = FaultyStore()
    credential = client.credential(**DEVICE, store=store)
    credential.accept(token(9))
    clock.step(3500)
    store.unreachable = True
    assert credential.token().access_token == "at-9"
    clock.step(100)
    with pytest.raises(StoreUnreadableError):
        credential.token()
    assert not server.requests
    store.unreachable = False
    assert credential.token().access_token == "at-1"


def test_a_login_that_cannot_be_saved_is_in_use_nowhere(start: Start) -> None:
    client, _ = start(issue())
    store = FaultyStore()
    credential = client.credential(**DEVICE, store=store)
    store.full = True
    with pytest.raises(StoreSaveError):
        credential.accept(token(9))
    with pytest.raises(LoginNeededError):
        credential.token()


class TestTheLeaseIsLost:
    """Between the request and the save, another took the lock."""

    def test_a_newer_token_counts(self, start: Start, clock: Clock) -> None:
        client, _ = start(issue())
        store, told = FaultyStore(), list[Token]()
        credential = client.credential(**DEVICE, store=store, on_token=told.append)
        credential.accept(token(9))
        clock.step(3600)
        newer = token(50, **LATER)
        store.meanwhile = lambda: MemoryStore.save(store, credential.key, newer)
        assert credential.token() == newer
        assert store.load(credential.key) == newer
        assert told == []

    @pytest.mark.parametrize("left", ["nothing", "a dead one"])
    def test_what_nobody_can_use_does_not(self, left: str, start: Start, clock: Clock) -> None:
        client, _ = start(issue())
        store = FaultyStore()
        credential = client.credential(**DEVICE, store=store)
        credential.accept(token(9))
        clock.step(3600)

        def other() -> None:
            if left == "nothing":
                MemoryStore.delete(store, credential.key)
            else:
                MemoryStore.save(store, credential.key, token(9, refresh_token=None))

        store.meanwhile = other
        assert credential.token().access_token == "at-1"
        assert store.load(credential.key) == credential.token()
        assert store.saved[-1][1] == 0

    def test_every_save_of_a_refresh_shows_the_fence(self, start: Start, clock: Clock) -> None:
        client, _ = start(issue(), refuse())
        store = FaultyStore()
        credential = client.credential(**DEVICE, store=store)
        credential.accept(token(9))
        clock.step(3600)
        credential.token()
        assert [fence for _, fence in store.saved] == [7, 7]


class _Proving(FaultyStore):
    """A store that can tell whether it would save."""

    def check_writable(self, key: str, token: Token) -> None:
        if self.full:
            raise StoreSaveError("the disk is full")


def test_nothing_is_sent_whose_answer_could_not_be_stored(start: Start) -> None:
    store = _Proving()
    client, server = start(issue())
    credential = client.credential(grant_type="refresh_token", subject="me", store=store)
    store.save(credential.key, token(0, lives=-1))
    store.full = True
    for _ in range(2):
        with pytest.raises(StoreSaveError, match="the disk is full"):
            credential.token()
    assert not server.requests
    store.full = False
    assert credential.token().access_token == "at-1"
    assert len(server.requests) == 1
