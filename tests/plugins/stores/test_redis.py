"""The store ``redis``, on a Valkey server."""

from __future__ import annotations

import functools
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

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
from grantway_plugins.stores.redis._store import RedisStore
from tests.plugins.stores.contract import (
    ENOUGH,
    MARK,
    WHOLE,
    DurableStoreContract,
    StoreContract,
    shown,
)
from tests.plugins.stores.processes import Opener
from tests.plugins.stores.shared import LEASE, SharedStoreContract
from tests.valkey import ValkeyServer, valkey_server
from tests.waiting import PATIENCE

PREFIXES = (f"t{number}:" for number in itertools.count())


@pytest.fixture(scope="module")
def server() -> Iterator[ValkeyServer]:
    with valkey_server() as server:
        yield server


@pytest.fixture
def raw(server: ValkeyServer) -> Iterator[redis.Redis]:
    """A client of the server past the store."""
    with redis.Redis.from_url(server.url, protocol=2) as client:
        yield client


@pytest.fixture
def prefix() -> str:
    return next(PREFIXES)


@pytest.fixture
def again(server: ValkeyServer, prefix: str) -> Opener:
    return functools.partial(RedisStore, url=server.url, prefix=prefix, lease=LEASE)


@pytest.fixture
def store(again: Opener) -> Iterator[RedisStore]:
    store = again()
    assert isinstance(store, RedisStore)
    with closing(store):
        yield store


class TestRedisStore(StoreContract, DurableStoreContract, SharedStoreContract):
    """The contract on a server."""

    @pytest.fixture
    def spoil(self, raw: redis.Redis, prefix: str) -> Callable[[str, bytes], None]:
        def spoil(key: str, data: bytes) -> None:
            raw.hset(prefix + key, "token", data)

        return spoil

    @pytest.fixture(autouse=True)
    def _past_the_store(self, raw: redis.Redis, prefix: str) -> None:
        self.raw, self.prefix = raw, prefix

    def seize(self, key: str) -> None:
        self.raw.hset(self.prefix + key, mapping={"owner": "another", "until": 2**53})


# --- What rests on the server ------------------------------------------------------------------


def test_how_long_a_token_is_kept(
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


def test_a_lock_does_not_shorten_the_life_of_a_token(
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


def test_a_fence_grows_though_the_server_lost_everything(
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


def test_one_key_of_the_server_holds_all_of_a_token(
    store: RedisStore, raw: redis.Redis, prefix: str
) -> None:
    with store.lock("key", 0) as fence:
        store.save("key", WHOLE, fence=fence)
        names = {b"token", b"fence", b"changed", b"owner", b"until"}
        assert set(raw.hkeys(prefix + "key")) == names
    assert list(raw.scan_iter(prefix + "*")) == [f"{prefix}key".encode()]


def test_something_else_under_its_name_is_left_alone(
    store: RedisStore, raw: redis.Redis, prefix: str
) -> None:
    raw.set(prefix + "key", "mine")
    with pytest.raises(StoreUnreadableError, match="another prefix"):
        store.load("key")
    with pytest.raises(StoreSaveError, match="another prefix") as failed:
        store.save("key", WHOLE)
    assert MARK not in shown(failed.value)
    assert raw.get(prefix + "key") == b"mine"


def test_a_few_connections_are_enough_for_many_threads(
    server: ValkeyServer, raw: redis.Redis, prefix: str
) -> None:
    before = raw.info("clients")["connected_clients"]
    with closing(RedisStore(server.url, prefix=prefix, connections=2)) as store:
        start = threading.Barrier(8)

        def work(key: str) -> Token | None:
            start.wait(ENOUGH)
            with store.lock(key, ENOUGH) as fence:
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
def test_an_option_that_cannot_be_is_named(options: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigurationError, match=field) as refused:
        RedisStore(**options)
    assert list(refused.value.errors) == [field]
    assert MARK not in shown(refused.value)


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
def test_it_names_its_server_and_no_password(url: str, named: str) -> None:
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
def test_tokens_do_not_go_to_another_host_in_the_clear_unless_allowed(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"without TLS; use rediss://, or set allow") as no:
        RedisStore(url)
    assert list(no.value.errors) == ["url"]
    assert MARK not in shown(no.value)
    RedisStore(url, allow_insecure=True).close()
    with pytest.raises(ConfigurationError, match="allow_insecure: must be True or False"):
        RedisStore(url, allow_insecure="false")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "url",
    ["redis://", "redis://127.0.0.9:1/0", "redis://[::1]/0", "unix:///x", "rediss://h.example/0"],
)
def test_this_machine_and_tls_need_no_permission(url: str) -> None:
    RedisStore(url).close()


# --- A server that does not do its work --------------------------------------------------------


def test_a_server_that_stops_and_comes_back(caplog: pytest.LogCaptureFixture) -> None:
    with valkey_server() as server, closing(RedisStore(server.url, lease=LEASE)) as store:
        store.save("key", WHOLE)
        server.restart()
        # The connection that was open is noticed to be closed, and nobody sees it.
        assert store.load("key") == WHOLE
        with store.lock("key", 0) as fence:
            server.stop()
            with pytest.raises(StoreSaveError, match="cannot be reached") as failed:
                store.save("key", Token("at-" + MARK), fence=fence)
            assert f"127.0.0.1:{server.port}" in str(failed.value)
            assert MARK not in shown(failed.value)
        assert "not set free" in caplog.text
        with pytest.raises(StoreUnreadableError, match="cannot be read"):
            store.load("key")
        with pytest.raises(StoreError, match="not deleted"):
            store.delete("key")
        with pytest.raises(StoreUnreadableError, match="cannot be locked"):
            store.lock("key", 1).__enter__()
        server.restart()
        assert store.load("key") == WHOLE
        # The lease outlived the server, and ends by itself.
        with store.lock("key", ENOUGH) as later:
            assert later > fence


def test_a_server_that_is_back_within_the_lease_has_lost_no_lock() -> None:
    with valkey_server() as server, closing(RedisStore(server.url)) as store:
        with store.lock("key", 0) as fence:
            server.restart()
            with pytest.raises(TimeoutError), store.lock("key", 0):
                pass
            store.save("key", WHOLE, fence=fence)
        with store.lock("key", 0):
            assert store.load("key") == WHOLE


def test_a_server_that_answers_nobody_is_given_up_in_time() -> None:
    with valkey_server() as server, closing(RedisStore(server.url, timeout=0.3)) as store:
        store.save("key", WHOLE)
        server.pause()
        began = time.monotonic()
        with pytest.raises(StoreSaveError, match="may have done it or not") as failed:
            store.save("key", Token("at-" + MARK))
        assert time.monotonic() - began < PATIENCE
        assert MARK not in shown(failed.value)
        with pytest.raises(StoreUnreadableError, match="did not answer in time"):
            store.load("key")
        server.resume()
        assert store.load("key") is not None


def test_a_password_shows_in_nothing() -> None:
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
                    with pytest.raises(StoreError, match="user name or password") as refused:
                        work()
                    assert host in str(refused.value)
                    assert MARK not in shown(refused.value)
        with closing(RedisStore(f"redis://:right@{host}/0")) as store:
            store.save("key", WHOLE)
            assert store.load("key") == WHOLE


def test_a_user_needs_no_more_than_the_error_says(server: ValkeyServer, raw: redis.Redis) -> None:
    user = ("ACL", "SETUSER", "modest")
    raw.execute_command(*user, "on", ">right", "~grantway:*", "-@all", "+hget")
    url = server.url.replace("//", "//modest:right@")
    with closing(RedisStore(url)) as store:
        assert store.load("key") is None
        with pytest.raises(StoreSaveError, match="ACL SETUSER") as refused:
            store.save("key", WHOLE)
        words = str(refused.value).partition("key prefix and ")[2].split(".")[0].split()
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


def test_a_server_whose_memory_is_full_keeps_the_token_before() -> None:
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


# --- What a save waits for ---------------------------------------------------------------------


def test_a_save_waits_for_the_disk() -> None:
    with (
        valkey_server(appendfsync="everysec") as server,
        closing(RedisStore(server.url, on_disk=True)) as store,
    ):
        with store.lock("key", 0) as fence:
            store.save("key", WHOLE, fence=fence)
        server.restart()
        assert store.load("key") == WHOLE


def test_a_server_that_writes_nothing_to_its_disk_is_refused() -> None:
    with (
        valkey_server(appendonly="no") as server,
        closing(RedisStore(server.url, on_disk=True)) as store,
        pytest.raises(StoreSaveError, match="appendonly yes") as failed,
    ):
        store.save("key", WHOLE)
    assert MARK not in shown(failed.value)


def test_a_save_waits_for_replicas_and_a_replica_takes_no_changes() -> None:
    with (
        valkey_server(repl_diskless_sync_delay="0") as server,
        valkey_server(replicaof=f"127.0.0.1 {server.port}") as replica,
    ):
        with (
            closing(RedisStore(server.url, replicas=1, timeout=ENOUGH)) as patient,
            closing(RedisStore(replica.url)) as beside,
        ):
            # Waits until the replica has come up, and then sees what it has.
            patient.save("key", WHOLE)
            assert beside.load("key") == WHOLE
            with pytest.raises(StoreSaveError, match="name the primary"):
                beside.save("key", Token("at"))
            with pytest.raises(StoreUnreadableError, match="name the primary"):
                beside.lock("key", 0).__enter__()
        replica.stop()
        for on_disk in (False, True):
            with (
                closing(RedisStore(server.url, replicas=1, on_disk=on_disk, timeout=0.4)) as store,
                pytest.raises(StoreSaveError, match="only 0 of 1 replicas") as failed,
            ):
                store.save("key", Token("at-" + MARK))
            assert MARK not in shown(failed.value)
