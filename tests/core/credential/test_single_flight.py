"""All callers of one token share one request."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from grantway import Freshness
from grantway_plugins.stores.file._store import FileStore
from grantway_plugins.stores.memory._store import MemoryStore
from tests.core.credential.conftest import Start
from tests.core.credential.scenes import (
    SECRET,
    Clock,
    Gate,
    issue,
    reject,
    run_together,
    token,
    wait_for_refreshes,
)

EXACT = Freshness(jitter=0)


def test_64_threads_share_the_first_request(start: Start) -> None:
    client, server = start(issue())
    credential = client.credential(**SECRET)
    assert {each.access_token for each in run_together([credential.token] * 64)} == {"at-1"}
    assert len(server.requests) == 1


def test_credentials_with_one_store_and_key_share_a_request(start: Start, clock: Clock) -> None:
    gate = Gate()
    client, server = start(gate)
    store = MemoryStore()
    credentials = [client.credential(**SECRET, store=store) for _ in range(16)]
    with ThreadPoolExecutor(16) as threads:
        waiting = [threads.submit(each.token) for each in credentials]
        gate.wait()
        gate.opened.set()
        assert {each.result().access_token for each in waiting} == {"at-1"}
    assert all(each.fresh for each in credentials)
    clock.step(3600)
    assert {each.access_token for each in run_together([c.token for c in credentials])} == {"at-2"}
    assert len(server.requests) == 2


def test_stores_with_one_folder_share_a_request(start: Start, tmp_path: Path) -> None:
    client, server = start(issue())
    credentials = [client.credential(**SECRET, store=FileStore(tmp_path)) for _ in range(8)]
    assert {each.access_token for each in run_together([c.token for c in credentials])} == {"at-1"}
    assert len(server.requests) == 1


def test_each_credential_without_a_store_sends_its_own_request(start: Start) -> None:
    client, server = start(issue())
    credentials = [client.credential(**SECRET) for _ in range(3)]
    assert len({each.token().access_token for each in credentials}) == 3
    assert len(server.requests) == 3


def test_credentials_with_other_keys_do_not_wait(start: Start) -> None:
    gate = Gate()
    client, _ = start(gate, issue())
    store = MemoryStore()
    slow = client.credential(**SECRET, subject="slow", store=store)
    quick = client.credential(**SECRET, subject="quick", store=store)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(slow.token)
        gate.wait()
        assert quick.token().access_token
        gate.opened.set()
        waiting.result()


def test_a_background_refresh_updates_other_credentials(start: Start, clock: Clock) -> None:
    gate = Gate()
    client, server = start(gate)
    store = MemoryStore()
    one, other = (client.credential(**SECRET, store=store, freshness=EXACT) for _ in range(2))
    for each in (one, other):
        each.accept(token(9))
    clock.step(3400)
    for each in (one, other):
        assert each.token().access_token == "at-9"
    gate.wait()
    gate.opened.set()
    wait_for_refreshes()
    assert one.token() is other.token()
    assert other.fresh
    assert len(server.requests) == 1


def test_a_failed_background_refresh_pauses_other_credentials(start: Start, clock: Clock) -> None:
    gate = Gate(reject("invalid_client", 401))
    client, server = start(gate, issue())
    store = MemoryStore()
    one, other = (client.credential(**SECRET, store=store, freshness=EXACT) for _ in range(2))
    for each in (one, other):
        each.accept(token(9))
    clock.step(3400)
    for each in (one, other):
        each.token()
    gate.opened.set()
    wait_for_refreshes()
    for each in (one, other):
        assert each.last_error is not None
        each.token()
    wait_for_refreshes()
    assert len(server.requests) == 1
    # It is retried before the token expires.
    clock.step(2)
    other.token()
    wait_for_refreshes()
    assert other.token().access_token == "at-2"
