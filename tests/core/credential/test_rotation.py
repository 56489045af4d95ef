"""A new refresh token is stored before its access token is used."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from grantway import Token
from grantway._exceptions import (
    InvalidGrantException,
    LoginNeededError,
    StoreSaveError,
    StoreUnreadableError,
)
from grantway_plugins.stores.file._store import FileStore
from grantway_plugins.stores.memory._store import MemoryStore
from tests.core.credential.conftest import Start
from tests.core.credential.doubles import FaultyStore
from tests.core.credential.scenes import (
    PATIENCE,
    SECRET,
    Clock,
    issue,
    reject,
    token,
    wait_for_refreshes,
)

DEVICE: dict[str, Any] = {"grant_type": "urn:ietf:params:oauth:grant-type:device_code"}
LATER = {"seconds_left": 7200, "expires_in": 7200}


def test_stores_the_token_then_calls_on_token_then_serves_callers(
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
    # At each call of on_token, the store has the new token and callers still get the previous one.
    assert seen == [("at-1", "rt-1", "at-9"), ("at-2", "rt-2", "at-1"), ("at-3", "rt-3", "at-2")]


def test_refreshes_many_times_without_reusing_a_refresh_token(
    grantway_issuer: Any, clock: Clock
) -> None:
    """Use the issuer over sockets; each refresh token works once."""
    from grantway_grants import device_code  # noqa: PLC0415 - used only here

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


def test_a_failed_save_is_retried_by_the_next_call(start: Start, clock: Clock) -> None:
    client, server = start(issue())
    store = FaultyStore()
    called: list[Token] = []
    credential = client.credential(**DEVICE, store=store, on_token=called.append)
    credential.accept(token(9))
    clock.step(3600)
    store.full = True
    for _ in range(2):
        with pytest.raises(StoreSaveError, match="the next call saves it") as caught:
            credential.token()
        assert caught.value.token is not None
        assert caught.value.token.refresh_token == "rt-1"
    assert called == []
    assert credential.holds_the_only_copy()
    store.full = False
    assert credential.token() == store.load(credential.key) == called[0]
    assert not credential.holds_the_only_copy()
    assert len(server.requests) == 1


def test_returns_the_valid_token_while_the_store_is_full(start: Start, clock: Clock) -> None:
    client, server = start(issue())
    store = FaultyStore()
    credential = client.credential(**DEVICE, store=store)
    credential.accept(token(9))
    store.full = True
    clock.step(3500)
    assert credential.token().access_token == "at-9"
    wait_for_refreshes()
    assert isinstance(credential.last_error, StoreSaveError)
    store.full = False
    clock.step(60)
    assert credential.token().access_token == "at-9"
    wait_for_refreshes()
    assert credential.token().access_token == "at-1"
    assert store.load(credential.key) == credential.token()
    assert len(server.requests) == 1


@pytest.mark.parametrize("with_store", [True, False])
def test_calls_on_token_again_after_it_raised(with_store: bool, start: Start, clock: Clock) -> None:
    client, server = start(issue())
    store = MemoryStore() if with_store else None
    called: list[Token] = []

    def tell(new: Token) -> None:
        called.append(new)
        if len(called) < 3:
            raise LookupError("the ledger is closed")

    credential = client.credential(**DEVICE, store=store, on_token=tell)
    credential.accept(token(9))
    clock.step(3600)
    for _ in range(2):
        with pytest.raises(LookupError, match="the ledger is closed"):
            credential.token()
    assert credential.token().access_token == "at-1"
    assert called == [credential.token()] * 3
    assert len(server.requests) == 1


@pytest.mark.parametrize("with_store", [True, False])
def test_an_oauth_error_of_on_token_does_not_count_as_the_providers(
    with_store: bool, start: Start, clock: Clock
) -> None:
    """``on_token`` may exchange the token, and the provider may reject the exchange."""
    client, server = start(issue(), issue())
    called: list[Token] = []

    def exchange(new: Token) -> None:
        called.append(new)
        if len(called) == 1:
            raise InvalidGrantException("the exchange was rejected")

    store = MemoryStore() if with_store else None
    credential = client.credential(**SECRET, store=store, on_token=exchange)
    credential.accept(token(9))
    clock.step(3600)
    with pytest.raises(InvalidGrantException, match="the exchange"):
        credential.token()
    assert credential.token().refresh_token == "rt-1"
    assert [each.access_token for each in called] == ["at-1", "at-1"]
    assert len(server.requests) == 1


def test_another_credential_does_not_discard_an_unsaved_token(start: Start, clock: Clock) -> None:
    """Two credentials of one token share a refresh, and only one holds an unsaved token."""
    client, server = start(issue())
    store = SlowStore()
    holder, other = (client.credential(**DEVICE, store=store) for _ in range(2))
    holder.accept(token(9))
    clock.step(3540)
    store.full = True
    assert holder.token().access_token == "at-9"
    wait_for_refreshes()
    assert holder.holds_the_only_copy()

    store.full = False
    clock.step(1)
    store.gate.clear()
    with ThreadPoolExecutor(1) as threads:
        # The other credential loads the old token, which is valid, and the holder joins it.
        loading = threads.submit(other.token)
        assert store.arrived.wait(PATIENCE)
        assert holder.token().access_token == "at-9"
        store.gate.set()
        assert loading.result(PATIENCE).access_token == "at-9"
    wait_for_refreshes()
    holder.token()
    wait_for_refreshes()
    stored = store.load(holder.key)
    assert stored is not None
    assert stored.refresh_token == "rt-1"
    assert holder.token().access_token == "at-1"
    assert len(server.requests) == 1


class SlowStore(FaultyStore):
    """A store whose reads wait for ``gate``; ``arrived`` is set while one waits."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.arrived = threading.Event(), threading.Event()
        self.gate.set()

    def load(self, key: str) -> Token | None:
        if not self.gate.is_set():
            self.arrived.set()
            assert self.gate.wait(PATIENCE)
        return super().load(key)


def test_a_store_may_have_no_check_before_a_refresh(start: Start, clock: Clock) -> None:
    class Plain(MemoryStore):
        check_writable = None

    client, _ = start(issue())
    credential = client.credential(**DEVICE, store=Plain())
    credential.accept(token(9))
    clock.step(3600)
    assert credential.token().access_token == "at-1"


def test_calls_on_token_again_if_the_store_omits_fields(start: Start, clock: Clock) -> None:
    class Lossy(MemoryStore):
        def load(self, key: str) -> Token | None:
            stored = super().load(key)
            return stored and replace(stored, scope=None, expires_in=None)

    client, _ = start(issue(scope="read"))
    called: list[str] = []

    def tell(new: Token) -> None:
        called.append(new.access_token)
        if len(called) == 1:
            raise LookupError("the ledger is closed")

    credential = client.credential(**DEVICE, store=Lossy(), on_token=tell)
    credential.accept(token(9))
    clock.step(3600)
    with pytest.raises(LookupError):
        credential.token()
    assert credential.token().access_token == "at-1"
    assert called == ["at-1", "at-1"]


def test_a_login_elsewhere_takes_precedence_over_an_unsaved_token(
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


def test_saves_a_token_after_another_process_withdrew_its_predecessor(
    start: Start, clock: Clock
) -> None:
    """Another process sent the old refresh token and removed it when it was rejected."""
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


def test_sends_nothing_if_the_store_cannot_be_read(start: Start, clock: Clock) -> None:
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


def test_does_not_use_a_login_that_cannot_be_saved(start: Start) -> None:
    client, _ = start(issue())
    store = FaultyStore()
    credential = client.credential(**DEVICE, store=store)
    store.full = True
    with pytest.raises(StoreSaveError):
        credential.accept(token(9))
    with pytest.raises(LoginNeededError):
        credential.token()


class TestLostLease:
    """Another process takes the lock between the request and the save."""

    def test_uses_the_newer_token(self, start: Start, clock: Clock) -> None:
        client, _ = start(issue())
        store, called = FaultyStore(), list[Token]()
        credential = client.credential(**DEVICE, store=store, on_token=called.append)
        credential.accept(token(9))
        clock.step(3600)
        newer = token(50, **LATER)
        store.meanwhile = lambda: MemoryStore.save(store, credential.key, newer)
        assert credential.token() == newer
        assert store.load(credential.key) == newer
        assert called == []

    @pytest.mark.parametrize("left", ["nothing", "an expired one"])
    def test_replaces_a_token_that_is_unusable(self, left: str, start: Start, clock: Clock) -> None:
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

    def test_every_save_of_a_refresh_has_the_fence(self, start: Start, clock: Clock) -> None:
        client, _ = start(issue(), reject())
        store = FaultyStore()
        credential = client.credential(**DEVICE, store=store)
        credential.accept(token(9))
        clock.step(3600)
        credential.token()
        assert [fence for _, fence in store.saved] == [7, 7]


class _CheckedStore(FaultyStore):
    """A store that can check whether it could save."""

    def check_writable(self, key: str, token: Token) -> None:
        if self.full:
            raise StoreSaveError("the disk is full")


def test_sends_nothing_if_the_new_token_could_not_be_stored(start: Start) -> None:
    store = _CheckedStore()
    client, server = start(issue())
    credential = client.credential(grant_type="refresh_token", subject="me", store=store)
    store.save(credential.key, token(0, seconds_left=-1))
    store.full = True
    for _ in range(2):
        with pytest.raises(StoreSaveError, match="the disk is full"):
            credential.token()
    assert not server.requests
    store.full = False
    assert credential.token().access_token == "at-1"
    assert len(server.requests) == 1
