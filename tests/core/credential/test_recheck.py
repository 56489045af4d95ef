"""Logouts in other processes, which take effect within the seconds of ``recheck``."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import replace
from typing import Any

import pytest

from grantway import Credential, Freshness, Token
from grantway._exceptions import ConfigurationError, LoginNeededError, StoreSaveError
from tests import faults
from tests.core.credential.conftest import Start
from tests.core.credential.doubles import FaultyStore
from tests.core.credential.scenes import (
    PATIENCE,
    SECRET,
    Clock,
    issue,
    run_together,
    token,
    wait_for_refreshes,
)
from tests.faults import Act

DEVICE: dict[str, Any] = {"grant_type": "urn:ietf:params:oauth:grant-type:device_code"}
RECHECK = 60.0


class CountingStore(FaultyStore):
    """Counts reads, and can block them.

    Attributes:
        reads: Number of reads.
        blocked: If set, reads wait for ``released``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0
        self.blocked = False
        self.released = threading.Event()

    def load(self, key: str) -> Token | None:
        self.reads += 1
        if self.blocked:
            assert self.released.wait(PATIENCE)
        return super().load(key)

    async def load_async(self, key: str) -> Token | None:
        if self.blocked:
            await asyncio.to_thread(self.released.wait, PATIENCE)
        return self.load(key)


@pytest.fixture
def store() -> CountingStore:
    return CountingStore()


def log_in(start: Start, store: CountingStore, *script: Act) -> Credential:
    """Return a credential that holds a token of a login."""
    client, _server = start(*script)
    credential = client.credential(**DEVICE, store=store, recheck=RECHECK)
    credential.accept(token(9))
    return credential


@pytest.mark.parametrize("on_loop", [False, True])
def test_a_logout_elsewhere_takes_effect_in_an_idle_process(
    start: Start, clock: Clock, store: CountingStore, on_loop: bool
) -> None:
    """Nobody has used the token for long, so the first caller waits for the comparison."""
    credential = log_in(start, store)
    store.delete(credential.key)
    assert credential.token() == token_of(credential)
    clock.step(RECHECK)
    with pytest.raises(LoginNeededError):
        asyncio.run(credential.token_async()) if on_loop else credential.token()
    assert not credential.alive
    credential.accept(token(10))
    assert credential.token().access_token == "at-10"


def token_of(credential: Credential) -> Token:
    """Return the held token, without a comparison."""
    return credential._state.token


def test_callers_do_not_wait_for_a_comparison_in_the_background(
    start: Start, clock: Clock, store: CountingStore
) -> None:
    credential = log_in(start, store)
    store.delete(credential.key)
    store.blocked = True
    clock.step(RECHECK / 2)
    for _ in range(100):
        assert credential.token().access_token == "at-9"
    assert store.reads == 1
    store.released.set()
    wait_for_refreshes()
    with pytest.raises(LoginNeededError):
        credential.token()


def test_reads_the_store_once_in_half_of_the_time(
    start: Start, clock: Clock, store: CountingStore
) -> None:
    credential = log_in(start, store)
    for number in range(5):
        run_together([credential.token] * 4 + [lambda: asyncio.run(credential.token_async())] * 4)
        wait_for_refreshes()
        assert store.reads == number
        clock.step(RECHECK / 2)


def test_the_wall_clock_counts_during_a_sleep_of_the_machine(
    start: Start, clock: Clock, store: CountingStore
) -> None:
    credential = log_in(start, store)
    store.delete(credential.key)
    clock.set(RECHECK)
    with pytest.raises(LoginNeededError):
        credential.token()


def test_uses_a_token_that_another_process_has_stored(
    start: Start, clock: Clock, store: CountingStore
) -> None:
    credential = log_in(start, store)
    store.save(credential.key, token(10))
    clock.step(RECHECK)
    assert credential.token().access_token == "at-10"


def test_keeps_the_token_while_the_store_is_unreachable(
    start: Start, clock: Clock, store: CountingStore
) -> None:
    credential = log_in(start, store)
    store.unreachable = True
    for _ in range(3):
        clock.step(RECHECK)
        assert credential.token().access_token == "at-9"
    store.delete(credential.key)
    store.unreachable = False
    clock.step(RECHECK / 2)
    with pytest.raises(LoginNeededError):
        credential.token()


@pytest.mark.parametrize("on_loop", [False, True])
def test_waits_a_second_for_a_store_that_hangs(
    start: Start, clock: Clock, store: CountingStore, on_loop: bool
) -> None:
    credential = log_in(start, store)
    store.delete(credential.key)
    store.blocked = True
    clock.step(RECHECK)

    async def use() -> Token:
        found = await credential.token_async()
        store.released.set()  # because the end of the loop waits for the comparison
        return found

    began = time.monotonic()
    found = asyncio.run(use()) if on_loop else credential.token()
    assert found.access_token == "at-9"
    assert 0.9 < time.monotonic() - began < PATIENCE / 2
    store.released.set()
    wait_for_refreshes()
    with pytest.raises(LoginNeededError):
        credential.token()


def test_compares_while_refreshes_fail(start: Start, clock: Clock, store: CountingStore) -> None:
    """A provider that is down does not delay a logout."""
    credential = log_in(start, store, *[faults.respond(503, b"")] * 4)
    clock.step(3500)
    for _ in range(3):
        assert credential.token().access_token == "at-9"
        wait_for_refreshes()
    store.delete(credential.key)
    clock.step(RECHECK)
    with pytest.raises(LoginNeededError):
        credential.token()


def test_sends_no_refresh_token_after_a_logout_elsewhere(
    start: Start, clock: Clock, store: CountingStore
) -> None:
    client, server = start(issue())
    credential = client.credential(**DEVICE, store=store, recheck=RECHECK)
    credential.accept(token(9))
    store.delete(credential.key)
    clock.step(3600)
    with pytest.raises(LoginNeededError):
        credential.token()
    assert (server.requests, store.load(credential.key)) == ([], None)


def test_keeps_a_token_that_could_not_be_stored(
    start: Start, clock: Clock, store: CountingStore
) -> None:
    client, server = start(issue(), faults.respond(500, b""))
    credential = client.credential(**SECRET, store=store, recheck=RECHECK)
    store.full = True
    with pytest.raises(Exception, match="the disk is full"):
        credential.token()
    store.full = False
    clock.step(RECHECK)
    assert credential.token().access_token == "at-1"
    assert len(server.requests) == 1


@pytest.mark.parametrize("aged", [0.0, RECHECK])
def test_a_logout_elsewhere_discards_a_token_that_could_not_be_stored(
    start: Start, clock: Clock, store: CountingStore, aged: float
) -> None:
    client, server = start(issue())
    credential = client.credential(**DEVICE, store=store, recheck=RECHECK)
    credential.accept(token(9))
    clock.step(3600)
    store.full = True
    with pytest.raises(StoreSaveError):
        credential.token()
    store.full = False
    store.delete(credential.key)
    clock.step(aged)
    with pytest.raises(LoginNeededError):
        credential.token()
    assert store.load(credential.key) is None
    assert not credential.holds_the_only_copy()
    assert len(server.requests) == 1


def test_a_logout_elsewhere_discards_an_unstored_token_while_the_former_one_is_valid(
    start: Start, clock: Clock, store: CountingStore
) -> None:
    client, _server = start(issue())
    credential = client.credential(**DEVICE, store=store, recheck=RECHECK)
    credential.accept(token(9))
    clock.step(3540)
    store.full = True
    assert credential.token().access_token == "at-9"
    wait_for_refreshes()
    assert credential.holds_the_only_copy()
    store.full = False
    store.delete(credential.key)
    clock.step(RECHECK)
    with pytest.raises(LoginNeededError):
        credential.token()
    assert store.load(credential.key) is None


def test_a_logout_during_a_refresh_discards_its_token(
    start: Start, clock: Clock, store: CountingStore
) -> None:
    """The process was suspended past its lease after it had received the new token."""
    client, _server = start(issue())
    credential = client.credential(**DEVICE, store=store, recheck=RECHECK)
    credential.accept(token(9))
    clock.step(3600)
    store.meanwhile = lambda: store.delete(credential.key)
    with pytest.raises(LoginNeededError):
        credential.token()
    assert store.load(credential.key) is None
    assert not credential.holds_the_only_copy()


@pytest.mark.parametrize("reported", [False, True])
def test_a_rejection_elsewhere_is_not_a_logout(
    start: Start, clock: Clock, store: CountingStore, reported: bool
) -> None:
    """Another process sent the former refresh token, which the unstored token had replaced."""
    client, _server = start(issue(), faults.respond(400, {"error": "invalid_grant"}))
    holder, other = (client.credential(**DEVICE, store=store, recheck=RECHECK) for _ in range(2))
    holder.accept(token(9))
    other.token()
    clock.step(3600)
    store.full = True
    with pytest.raises(StoreSaveError):
        holder.token()
    store.full = False
    if reported:
        store.save(other.key, replace(token(9), expires_at=time.time() + 10_000))
        other.invalidate(token(9))
    with pytest.raises(LoginNeededError):
        other.token()
    withdrawn = store.load(other.key)
    assert withdrawn is not None
    assert withdrawn.refresh_token is None
    assert withdrawn.expired()
    assert holder.token().access_token == "at-1"
    stored = store.load(holder.key)
    assert stored is not None
    assert stored.refresh_token == "rt-1"
    assert other.token().access_token == "at-1"


def test_requests_a_token_again_if_that_needs_no_login(
    start: Start, clock: Clock, store: CountingStore
) -> None:
    client, server = start(issue(refresh_token=None), issue(refresh_token=None))
    credential = client.credential(**SECRET, store=store, recheck=RECHECK)
    assert credential.token().access_token == "at-1"
    store.delete(credential.key)
    clock.step(RECHECK)
    assert credential.token().access_token == "at-2"
    assert len(server.requests) == 2


def test_a_comparison_does_not_shorten_the_time_until_the_refresh(
    start: Start, clock: Clock
) -> None:
    client, _ = start(issue())
    store = FaultyStore()
    checked = client.credential(
        **DEVICE, store=store, recheck=RECHECK, freshness=Freshness(jitter=0)
    )
    usual = client.credential(**DEVICE, store=store, freshness=Freshness(jitter=0))
    checked.accept(token(1))
    usual.accept(token(1))
    assert checked.fresh_for <= RECHECK
    for _ in range(3):
        assert checked.refresh_in == pytest.approx(usual.refresh_in, abs=5)
        clock.step(600)
        checked.token()
    clock.step(7200)
    assert checked.refresh_in == 0
    checked.accept(token(2, 20_000))
    assert checked.refresh_in > 3000
    checked.invalidate(checked.token())
    assert checked.refresh_in == 0
    checked.accept(token(3, 20_000))
    checked.forget()
    assert checked.refresh_in == 0


@pytest.mark.parametrize("recheck", [0, -1, "60", float("nan"), True])
def test_rejects_an_invalid_time(start: Start, store: CountingStore, recheck: Any) -> None:
    client, _server = start()
    with pytest.raises(ConfigurationError, match="recheck: must be a number of seconds"):
        client.credential(**SECRET, store=store, recheck=recheck)


def test_needs_a_store(start: Start) -> None:
    client, _server = start()
    with pytest.raises(ConfigurationError, match="recheck: needs a store"):
        client.credential_pool(**SECRET, recheck=RECHECK)
