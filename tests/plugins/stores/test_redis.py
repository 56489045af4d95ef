"""Tests of the store ``redis`` on a Valkey server."""

from __future__ import annotations

import asyncio
import functools
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, cast

import pytest
import redis

import grantway
from grantway import Token
from grantway._exceptions import (
    ConfigurationError,
    StoreError,
    StoreSaveError,
    StoreUnreadableError,
)
from grantway.testing import store_on_loop
from grantway.testing._kits.on_loop import StoreOnLoop
from grantway.testing._kits.processes import Opener
from grantway_plugins.stores.redis._store import RedisStore
from tests.plugins.stores.contract import (
    LOCK_WAIT,
    MARK,
    WHOLE,
    DurableStoreContract,
    RecordContract,
    StoreContract,
    shown,
    use_once,
)
from tests.plugins.stores.shared import LEASE, LEASE_FOR_TURNS, LeaseContract, SharedStoreContract
from tests.valkey import ValkeyServer, valkey_server
from tests.waiting import PATIENCE

PREFIXES = (f"t{number}:" for number in itertools.count())


@pytest.fixture(scope="module")
def server() -> Iterator[ValkeyServer]:
    with valkey_server() as server:
        yield server


@pytest.fixture
def raw(server: ValkeyServer) -> Iterator[redis.Redis]:
    """A client that accesses the server directly."""
    with redis.Redis.from_url(server.url, protocol=2) as client:
        yield client


@pytest.fixture
def prefix() -> str:
    return next(PREFIXES)


@pytest.fixture
def reopen(server: ValkeyServer, prefix: str) -> Opener:
    return functools.partial(RedisStore, url=server.url, prefix=prefix, lease=LEASE)


@pytest.fixture
def store(reopen: Opener) -> Iterator[RedisStore]:
    store = reopen()
    assert isinstance(store, RedisStore)
    with closing(store):
        yield store


class DirectAccess:
    """Access to the server that the contract classes need."""

    @pytest.fixture
    def corrupt(self, raw: redis.Redis, prefix: str) -> Callable[[str, bytes], None]:
        def corrupt(key: str, data: bytes) -> None:
            raw.hset(prefix + key, "token", data)

        return corrupt

    @pytest.fixture(autouse=True)
    def _direct_access(self, raw: redis.Redis, prefix: str) -> None:
        self.raw, self.prefix = raw, prefix

    def seize(self, key: str) -> None:
        self.raw.hset(self.prefix + key, mapping={"owner": "another", "until": 2**53})


class TestRedisStore(DirectAccess, StoreContract, DurableStoreContract, SharedStoreContract):
    """The contract for a server."""

    @pytest.fixture
    def reopen_for_turns(self, reopen: functools.partial[RedisStore]) -> Opener:
        return functools.partial(reopen, lease=LEASE_FOR_TURNS)


class TestRedisStoreOnLoop(DirectAccess, StoreContract, RecordContract, LeaseContract):
    """The contract for the asynchronous methods."""

    @pytest.fixture
    def store(self, reopen: Opener) -> Iterator[StoreOnLoop]:
        with closing(cast("Any", reopen())) as plain, store_on_loop(plain) as store:
            yield store


def test_runs_on_an_event_loop_without_a_thread(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading.Thread, "start", None)
    asyncio.run(use_once(store))


# --- Data on the server ------------------------------------------------------------------------


def test_sets_the_expiry_of_stored_tokens(
    server: ValkeyServer, store: RedisStore, raw: redis.Redis, prefix: str
) -> None:
    store.save("login", Token("at", expires_at=time.time() + 60, refresh_token="rt"))
    store.save("unstated", Token("at"))
    store.save("hours", Token("at", expires_at=time.time() + 7_200))
    store.save("minute", Token("at", expires_at=time.time() + 60))
    store.delete("deleted")
    with store.lock("logout", 0) as fence:
        store.save("logout", Token("at", refresh_token="rt"), fence=fence)
        store.delete("logout", fence=fence)
    with closing(RedisStore(server.url, prefix=prefix, keep_for=86_400)) as bounded:
        bounded.save("day", Token("at", refresh_token="rt"))
    keys = ("login", "unstated", "hours", "minute", "deleted", "logout", "day")
    hour = 3_600 + LEASE
    for key, seconds in zip(keys, (-1, -1, 7_260, hour, -2, hour, 86_400), strict=True):
        left = raw.pttl(prefix + key)
        assert (left if seconds < 0 else left / 1000) == pytest.approx(seconds, abs=30)
    assert store.load("minute") is not None


def test_locking_does_not_shorten_the_expiry_of_a_token(
    store: RedisStore, raw: redis.Redis, prefix: str
) -> None:
    store.save("login", Token("at", refresh_token="rt"))
    store.save("hours", Token("at", expires_at=time.time() + 7_200))
    raw.pexpire(prefix + "hours", 60_000)
    for key in ("login", "hours", "new"):
        with store.lock(key, 0):
            pass
    assert raw.pttl(prefix + "login") == -1
    for key in ("hours", "new"):
        assert raw.pttl(prefix + key) / 1000 == pytest.approx(3_600 + LEASE, abs=30)


def test_fences_increase_after_the_server_loses_its_data(
    store: RedisStore, raw: redis.Redis, prefix: str
) -> None:
    with store.lock("key", 0) as first:
        raw.delete(prefix + "key")
        store.save("key", WHOLE, fence=first)
        assert store.load("key") == WHOLE
        raw.delete(prefix + "key")
        with store.lock("key", 0) as second:
            store.save("key", Token("newer"), fence=second)
            with pytest.raises(grantway.GrantwayError, match="later holder"):
                store.save("key", WHOLE, fence=first)
    assert second > first
    assert store.load("key") == Token("newer")


def test_uses_one_server_key_per_token(store: RedisStore, raw: redis.Redis, prefix: str) -> None:
    with store.lock("key", 0) as fence:
        store.save("key", WHOLE, fence=fence)
        names = {b"token", b"fence", b"changed", b"owner", b"until"}
        assert set(raw.hkeys(prefix + "key")) == names
    assert list(raw.scan_iter(prefix + "*")) == [f"{prefix}key".encode()]


def test_leaves_a_foreign_key_unchanged(store: RedisStore, raw: redis.Redis, prefix: str) -> None:
    raw.set(prefix + "key", "mine")
    with pytest.raises(StoreUnreadableError, match="another prefix"):
        store.load("key")
    with pytest.raises(StoreSaveError, match="another prefix") as failed:
        store.save("key", WHOLE)
    assert MARK not in shown(failed.value)
    assert raw.get(prefix + "key") == b"mine"


def test_many_threads_share_a_few_connections(
    server: ValkeyServer, raw: redis.Redis, prefix: str
) -> None:
    before = raw.info("clients")["connected_clients"]
    with closing(RedisStore(server.url, prefix=prefix, connections=2)) as store:
        start = threading.Barrier(8)

        def work(key: str) -> Token | None:
            start.wait(LOCK_WAIT)
            with store.lock(key, LOCK_WAIT) as fence:
                store.save(key, Token(key), fence=fence)
            return store.load(key)

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(work, "abcdefgh")) == [Token(key) for key in "abcdefgh"]
        assert raw.info("clients")["connected_clients"] <= before + 2


# --- Options -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"url": "http://u:" + MARK + "@h"}, "url"),
        ({"url": "redis://u:" + MARK + "@h:port"}, "url"),
        ({"url": "redis://u:" + MARK + "@h?no_such_option=1"}, "url"),
        ({"url": "redis://u:" + MARK + "@h?socket_timeout=long"}, "url"),
        ({"lease": 0}, "lease"),
        ({"lease": "30"}, "lease"),
        ({"keep_for": 60}, "keep_for"),
        ({"replicas": -1}, "replicas"),
        ({"replicas": "all"}, "replicas"),
        ({"timeout": 0}, "timeout"),
        ({"connections": 0}, "connections"),
    ],
)
def test_rejects_an_invalid_option(options: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigurationError, match=field) as rejected:
        RedisStore(**options)
    assert list(rejected.value.errors) == [field]
    assert MARK not in shown(rejected.value)


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("redis://", "redis://localhost:6379/0"),
        (
            "rediss://u:" + MARK + "@cache.example:7000/3?ssl_ca_certs=/ca.pem",
            "rediss://cache.example:7000/3",
        ),
        ("unix://u@/run/valkey.sock?password=" + MARK, "unix:///run/valkey.sock"),
    ],
)
def test_repr_names_the_server_without_credentials(url: str, named: str) -> None:
    with closing(RedisStore(url)) as store:
        assert repr(store) == f"RedisStore({named}, prefix='grantway:')"


@pytest.mark.parametrize(
    "url",
    [
        "redis://u:" + MARK + "@cache.example:6379/0",
        "redis://:" + MARK + "@10.0.0.5/0",
        "redis://localhost.example/0",
        "redis://?host=cache.example&password=" + MARK,
    ],
)
def test_requires_tls_for_another_host_unless_allowed(url: str) -> None:
    with pytest.raises(
        ConfigurationError, match=r"without TLS; use rediss://, or set allow"
    ) as rejected:
        RedisStore(url)
    assert list(rejected.value.errors) == ["url"]
    assert MARK not in shown(rejected.value)
    RedisStore(url, allow_insecure=True).close()
    with pytest.raises(ConfigurationError, match="allow_insecure: must be True or False"):
        RedisStore(url, allow_insecure="false")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "url",
    ["redis://", "redis://127.0.0.9:1/0", "redis://[::1]/0", "unix:///x", "rediss://h.example/0"],
)
def test_accepts_this_machine_and_tls(url: str) -> None:
    RedisStore(url).close()


# --- Server failures ---------------------------------------------------------------------------


def test_recovers_after_a_server_restart(caplog: pytest.LogCaptureFixture) -> None:
    with valkey_server() as server, closing(RedisStore(server.url, lease=LEASE)) as store:
        store.save("key", WHOLE)
        server.restart()
        # The store notices that its connection was closed and opens a new one.
        assert store.load("key") == WHOLE
        with store.lock("key", 0) as fence:
            server.stop()
            with pytest.raises(StoreSaveError, match="cannot be reached") as failed:
                store.save("key", Token("at-" + MARK), fence=fence)
            assert f"127.0.0.1:{server.port}" in str(failed.value)
            assert MARK not in shown(failed.value)
        assert "cannot release the lock" in caplog.text
        with pytest.raises(StoreUnreadableError, match="cannot be read"):
            store.load("key")
        with pytest.raises(StoreError, match="not deleted"):
            store.delete("key")
        with pytest.raises(StoreUnreadableError, match="cannot be locked"):
            store.lock("key", 1).__enter__()
        server.restart()
        assert store.load("key") == WHOLE
        # The lease survived the restart and expires.
        with store.lock("key", LOCK_WAIT) as later:
            assert later > fence


def test_a_restart_within_the_lease_keeps_the_lock() -> None:
    with valkey_server() as server, closing(RedisStore(server.url)) as store:
        with store.lock("key", 0) as fence:
            server.restart()
            with pytest.raises(TimeoutError), store.lock("key", 0):
                pass
            store.save("key", WHOLE, fence=fence)
        with store.lock("key", 0):
            assert store.load("key") == WHOLE


def test_times_out_if_the_server_does_not_respond() -> None:
    with valkey_server() as server, closing(RedisStore(server.url, timeout=1.0)) as store:
        store.save("key", WHOLE)
        server.pause()
        began = time.monotonic()
        with pytest.raises(StoreSaveError, match="may have been executed or not") as failed:
            store.save("key", Token("at-" + MARK))
        assert time.monotonic() - began < PATIENCE
        assert MARK not in shown(failed.value)
        with pytest.raises(StoreUnreadableError, match="did not respond in time"):
            store.load("key")
        server.resume()
        assert store.load("key") is not None


def test_errors_and_repr_contain_no_password() -> None:
    with valkey_server(requirepass="right") as server:
        host = f"127.0.0.1:{server.port}"
        for user in (":" + MARK + "@", "somebody:" + MARK + "@", ""):
            with closing(RedisStore(f"redis://{user}{host}/0")) as store:
                assert MARK not in repr(store)
                for work in (
                    lambda: store.load("key"),
                    lambda: store.save("key", WHOLE),
                    lambda: store.lock("key", 0).__enter__(),
                ):
                    with pytest.raises(StoreError, match="user name or password") as rejected:
                        work()
                    assert host in str(rejected.value)
                    assert MARK not in shown(rejected.value)
        with closing(RedisStore(f"redis://:right@{host}/0")) as store:
            store.save("key", WHOLE)
            assert store.load("key") == WHOLE


def test_the_error_lists_sufficient_permissions(server: ValkeyServer, raw: redis.Redis) -> None:
    user = ("ACL", "SETUSER", "modest")
    raw.execute_command(*user, "on", ">right", "~grantway:*", "-@all", "+hmget")
    url = server.url.replace("//", "//modest:right@")
    with closing(RedisStore(url)) as store:
        assert store.load("key") is None
        with pytest.raises(StoreSaveError, match="ACL SETUSER") as rejected:
            store.save("key", WHOLE)
        words = str(rejected.value).partition("key prefix and ")[2].split(".")[0].split()
        raw.execute_command(*user, *words)
        with store.lock("key", 0) as fence:
            store.save("key", WHOLE, fence=fence)
        assert store.load("key") == WHOLE
        with closing(RedisStore(url, on_disk=True)) as durable:
            durable.save("key", Token("at"))
    with (
        closing(RedisStore(url, prefix="another:")) as store,
        pytest.raises(StoreUnreadableError, match="ACL SETUSER"),
    ):
        store.load("key")


def test_a_full_server_keeps_the_previous_token() -> None:
    with (
        valkey_server(maxmemory_policy="noeviction") as server,
        closing(RedisStore(server.url)) as store,
        redis.Redis.from_url(server.url, protocol=2) as raw,
    ):
        with store.lock("key", 0) as fence:
            store.save("key", WHOLE, fence=fence)
            raw.config_set("maxmemory", "500kb")  # less than it uses already
            for given in (0, fence):
                with pytest.raises(StoreSaveError, match="memory is full") as failed:
                    store.save("key", Token("at-" + MARK), fence=given)
                assert MARK not in shown(failed.value)
        assert store.load("key") == WHOLE
        with pytest.raises(StoreUnreadableError, match="cannot be locked: its memory is full"):
            store.lock("another key", 0).__enter__()


# --- Confirmation of saves ---------------------------------------------------------------------


def test_a_save_waits_for_the_disk() -> None:
    with (
        valkey_server(appendfsync="everysec") as server,
        closing(RedisStore(server.url, on_disk=True)) as store,
    ):
        with store.lock("key", 0) as fence:
            store.save("key", WHOLE, fence=fence)
        server.restart()
        assert store.load("key") == WHOLE


def test_on_disk_requires_an_append_only_file() -> None:
    with (
        valkey_server(appendonly="no") as server,
        closing(RedisStore(server.url, on_disk=True)) as store,
        pytest.raises(StoreSaveError, match="appendonly yes") as failed,
    ):
        store.save("key", WHOLE)
    assert MARK not in shown(failed.value)


@pytest.mark.slow
def test_a_save_waits_for_replicas_and_a_replica_rejects_saves() -> None:
    with (
        valkey_server(repl_diskless_sync_delay="0") as server,
        valkey_server(replicaof=f"127.0.0.1 {server.port}") as replica,
    ):
        with (
            closing(RedisStore(server.url, replicas=1, timeout=LOCK_WAIT)) as patient,
            closing(RedisStore(replica.url)) as beside,
        ):
            # The save waits until the replica is running and has the token.
            patient.save("key", WHOLE)
            assert beside.load("key") == WHOLE
            with pytest.raises(StoreSaveError, match="URL of the primary"):
                beside.save("key", Token("at"))
            with pytest.raises(StoreUnreadableError, match="URL of the primary"):
                beside.lock("key", 0).__enter__()
        replica.stop()
        for on_disk in (False, True):
            with (
                closing(RedisStore(server.url, replicas=1, on_disk=on_disk, timeout=2)) as store,
                pytest.raises(StoreSaveError, match="only 0 of 1 replicas") as failed,
            ):
                store.save("key", Token("at-" + MARK))
            assert MARK not in shown(failed.value)
        with closing(RedisStore(server.url, replicas=1, timeout=2)) as store:
            with pytest.raises(StoreUnreadableError, match="only 0 of 1 replicas"):
                store.lock("key", 0).__enter__()
            with pytest.raises(StoreError, match=r"not deleted: .* only 0 of 1 replicas"):
                store.delete("key")


def test_repeats_a_command_while_another_server_takes_over() -> None:
    """Behind one address, as for the endpoints of managed services."""
    with (
        valkey_server() as server,
        closing(RedisStore(server.url, failover=PATIENCE)) as store,
        ThreadPoolExecutor(1) as pool,
    ):
        server.stop()
        saving = pool.submit(store.save, "key", WHOLE)
        with pytest.raises(TimeoutError):
            saving.result(0.5)
        server.restart()
        saving.result(PATIENCE)
        assert store.load("key") == WHOLE
