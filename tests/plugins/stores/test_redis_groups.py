"""Tests of the store ``redis`` with Sentinels and with a cluster, while servers fail."""

from __future__ import annotations

import asyncio
import functools
import itertools
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress

import pytest
import redis
from redis.crc import key_slot

from grantway import Token
from grantway._exceptions import StoreError, StoreLockError, StoreSaveError, StoreUnreadableError
from grantway.testing._kits.processes import Opener
from grantway_plugins._redis import clients
from grantway_plugins._redis.location import Node
from grantway_plugins._redis.topology import Sentinels
from grantway_plugins.stores.redis._store import RedisStore
from tests.faults import free_port
from tests.plugins.stores.contract import LOCK_WAIT, MARK, WHOLE, StoreContract, shown, use_once
from tests.plugins.stores.shared import LEASE, LeaseContract
from tests.tls_front import Certificates
from tests.valkey_groups import ValkeyGroup, cluster_group, sentinel_group

pytestmark = pytest.mark.slow

PREFIXES = (f"t{number}:" for number in itertools.count())
#: Longest failover in seconds on a busy machine.
FAILOVER = 60.0


@pytest.fixture(scope="module")
def sentinels() -> Iterator[ValkeyGroup]:
    with sentinel_group() as group:
        yield group


@pytest.fixture(scope="module")
def cluster() -> Iterator[ValkeyGroup]:
    with cluster_group() as group:
        yield group


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates.issued_in(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def sentinels_with_tls(certificates: Certificates) -> Iterator[ValkeyGroup]:
    with sentinel_group(certificates=certificates) as group:
        yield group


@pytest.fixture(scope="module")
def cluster_with_tls(certificates: Certificates) -> Iterator[ValkeyGroup]:
    with cluster_group(certificates=certificates) as group:
        yield group


@pytest.fixture(params=["sentinels", "cluster"])
def group(request: pytest.FixtureRequest) -> ValkeyGroup:
    """Each group, complete again after the failover of an earlier test."""
    found: ValkeyGroup = request.getfixturevalue(request.param)
    found.wait_for_replicas(2 if found.sentinels else 3)
    return found


ALL_GROUPS = pytest.mark.parametrize(
    "group", ["sentinels", "cluster", "sentinels_with_tls", "cluster_with_tls"], indirect=True
)


@pytest.fixture
def prefix() -> str:
    return next(PREFIXES)


@pytest.fixture
def reopen(group: ValkeyGroup, prefix: str) -> Opener:
    return functools.partial(
        RedisStore, url=group.url, prefix=prefix, lease=LEASE, failover=FAILOVER
    )


@pytest.fixture
def store(reopen: Opener) -> Iterator[RedisStore]:
    store = reopen()
    assert isinstance(store, RedisStore)
    with closing(store):
        yield store


class TestGroups(StoreContract, LeaseContract):
    """The contract for several servers."""

    @pytest.fixture(autouse=True)
    def _direct_access(self, group: ValkeyGroup, prefix: str) -> None:
        self.group, self.prefix = group, prefix

    def seize(self, key: str) -> None:
        name = self.prefix + key
        with redis.Redis(port=self.group.primary(name.encode()).port, protocol=2) as raw:
            raw.hset(name, mapping={"owner": "another", "until": 2**53})


@ALL_GROUPS
def test_runs_on_an_event_loop(store: RedisStore) -> None:
    asyncio.run(use_once(store))


@ALL_GROUPS
def test_locks_and_saves_survive_a_failover(
    group: ValkeyGroup, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The holder keeps its lock on the next primary, and a later holder gets a higher fence."""
    make = functools.partial(RedisStore, group.url, prefix=prefix, failover=FAILOVER, timeout=2.0)
    name = f"{prefix}key".encode()
    with closing(make(lease=FAILOVER)) as store, closing(make()) as other:
        store.save("key", Token("before", refresh_token="rt"))
        with store.lock("key", 0) as fence:
            killed = group.primary(name)
            killed.stop()
            group.wait_for_another_primary(killed, name)
            with pytest.raises(StoreLockError), other.lock("key", 0):
                pass
            assert other.load("key") == Token("before", refresh_token="rt")
            killed.restart()
            store.save("key", WHOLE, fence=fence)
        with other.lock("key", LOCK_WAIT) as later:
            assert later > fence
            assert other.load("key") == WHOLE
            other.delete("key", fence=later)
        assert store.load("key") is None
    assert MARK not in caplog.text


@ALL_GROUPS
def test_a_task_saves_during_a_failover(group: ValkeyGroup, prefix: str) -> None:
    name = f"{prefix}key".encode()

    async def work() -> None:
        store = RedisStore(group.url, prefix=prefix, failover=FAILOVER, lease=FAILOVER, timeout=2.0)
        async with store.lock_async("key", LOCK_WAIT) as fence:
            killed = group.primary(name)
            killed.stop()
            saving = asyncio.create_task(store.save_async("key", WHOLE, fence=fence))
            await asyncio.to_thread(group.wait_for_another_primary, killed, name)
            await asyncio.to_thread(killed.restart)
            await saving
        assert await store.load_async("key") == WHOLE

    asyncio.run(work())


def test_without_replicas_nothing_is_locked_saved_or_deleted() -> None:
    """Otherwise the next primary would not know of it. An operator can accept that."""
    with sentinel_group(replicas=1) as group:
        replica = next(each for each in group.servers if each is not group.primary())
        with (
            closing(RedisStore(group.url, failover=0, timeout=2)) as store,
            closing(RedisStore(group.url, replicas=0)) as brave,
        ):
            store.save("key", WHOLE)
            replica.stop()
            for error, work in (
                (StoreUnreadableError, lambda: store.lock("key", 0).__enter__()),
                (StoreSaveError, lambda: store.save("key", Token("at-" + MARK))),
                (StoreError, lambda: store.delete("key")),
            ):
                with pytest.raises(error, match="only 0 of 1 replicas confirmed") as failed:
                    work()
                assert MARK not in shown(failed.value)
            # The unconfirmed lock was released.
            with brave.lock("key", 0) as fence:
                brave.save("key", WHOLE, fence=fence)
            assert store.load("key") == WHOLE


def test_reads_from_the_primary_after_a_demotion(sentinels: ValkeyGroup, prefix: str) -> None:
    """A store that takes a replica for the primary finds out before it returns old data."""
    primary = sentinels.primary()
    replica = next(each for each in sentinels.servers if each is not primary)
    with closing(RedisStore(sentinels.url, prefix=prefix)) as store:
        store.save("key", WHOLE)
        found = store._server._topology
        assert isinstance(found, Sentinels)
        found._primary = Node("127.0.0.1", replica.port)
        assert store.load("key") == WHOLE
        assert found._primary == Node("127.0.0.1", primary.port)


def test_reads_no_old_data_of_a_primary_that_starts_again() -> None:
    """Until a Sentinel makes it a replica, that server considers itself the primary."""
    with sentinel_group() as group, closing(RedisStore(group.url, timeout=2.0)) as store:
        store.save("key", Token("before"))
        killed = group.primary()
        with closing(RedisStore(group.url, failover=FAILOVER, timeout=2.0)) as other:
            killed.stop()
            group.wait_for_another_primary(killed)
            other.save("key", Token("after"))
        killed.restart()
        assert store.load("key") == Token("after")
        with store.lock("key", LOCK_WAIT):
            assert store.load("key") == Token("after")


def test_the_holder_of_a_lock_does_not_read_from_a_server_without_it(
    group: ValkeyGroup, prefix: str
) -> None:
    """A server that has missed a failover has a refresh token that was already used."""
    name = f"{prefix}key"
    with (
        closing(RedisStore(group.url, prefix=prefix, failover=0)) as store,
        redis.Redis(port=group.primary(name.encode()).port, protocol=2) as raw,
    ):
        store.save("key", WHOLE)
        with store.lock("key", 0) as fence:
            assert store.load("key") == WHOLE
            raw.hset(name, "fence", fence - 1)
            with pytest.raises(StoreUnreadableError, match="does not have the lock"):
                store.load("key")
            raw.hset(name, "fence", fence + 1)
            assert store.load("key") == WHOLE
        raw.hset(name, "fence", fence - 1)
        assert store.load("key") == WHOLE


def test_follows_a_slot_that_moves(cluster: ValkeyGroup, prefix: str) -> None:
    """New keys of a migrating slot are at its next server already (ASK), later all (MOVED)."""
    name = f"{prefix}key".encode()
    source = cluster.primary(name)
    others = (cluster.primary(f"{number}".encode()) for number in itertools.count())
    target = next(each for each in others if each is not source)
    slot = key_slot(name)
    with (
        closing(RedisStore(cluster.url, prefix=prefix)) as store,
        redis.Redis(port=source.port, protocol=2) as old,
        redis.Redis(port=target.port, protocol=2) as new,
    ):
        assert store.load("key") is None
        source_id, target_id = (raw.execute_command("CLUSTER", "MYID") for raw in (old, new))
        new.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
        old.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
        with store.lock("key", 0) as fence:
            store.save("key", WHOLE, fence=fence)
            assert store.load("key") == WHOLE
            assert (old.execute_command("CLUSTER", "COUNTKEYSINSLOT", slot)) == 0
            for raw in (new, old):
                raw.execute_command("CLUSTER", "SETSLOT", slot, "NODE", target_id)
            store.save("key", Token("after"), fence=fence)
        assert store.load("key") == Token("after")


def test_the_documented_permissions_suffice(group: ValkeyGroup) -> None:
    """Those of the servers, and of the Sentinels, which have separate users."""
    server_rules = ["~grantway:*", "-@all", "+@read", "+@write", "+@scripting", "+time", "+wait"]
    server_rules += ["+role"] if group.sentinels else ["+cluster|slots", "+asking"]
    rules = {each.port: server_rules for each in group.servers}
    rules |= {port: ["-@all", "+sentinel|get-master-addr-by-name"] for port in group.sentinels}
    for port, words in rules.items():
        with redis.Redis(port=port, protocol=2) as raw:
            raw.execute_command("ACL", "SETUSER", "modest", "on", f">{MARK}", *words)
    url = group.url.replace("://", f"://modest:{MARK}@")
    if group.sentinels:
        url += f"?sentinel_username=modest&sentinel_password={MARK}"
    with closing(RedisStore(url)) as store:
        asyncio.run(use_once(store))
        with store.lock("key", LOCK_WAIT) as fence:
            store.save("key", WHOLE, fence=fence)
        assert store.load("key") == WHOLE
    for wrong in {url.replace(MARK, "wrong", 1), url.replace(f"password={MARK}", "password=no")}:
        if wrong != url:
            with (
                closing(RedisStore(wrong)) as store,
                pytest.raises(StoreUnreadableError, match="rejected the user name or password"),
            ):
                store.load("key")


@pytest.mark.parametrize(("grace", "threads"), [(0.0, 1), (60.0, 4)])
def test_closes_the_connections_of_surplus_servers(
    cluster: ValkeyGroup, prefix: str, monkeypatch: pytest.MonkeyPatch, grace: float, threads: int
) -> None:
    """Servers are replaced over the years; a call in progress keeps its connection."""
    monkeypatch.setattr(clients, "_MOST", 1)
    monkeypatch.setattr(clients, "_GRACE", grace)
    keys = [f"{number}" for number in range(12)]
    with closing(RedisStore(cluster.url, prefix=prefix)) as store:

        async def use() -> None:
            for key in keys:
                await store.save_async(key, Token(key))

        asyncio.run(use())
        with ThreadPoolExecutor(threads) as pool:
            assert list(pool.map(store.load, keys * 4)) == [Token(key) for key in keys * 4]
        if not grace:
            assert len(store._server._blocking._all()) == 1


def test_waits_once_for_a_sentinel_that_hangs(prefix: str) -> None:
    with sentinel_group() as group:
        hung = socket.create_server(("127.0.0.1", 0))
        hung.setblocking(False)
        port = hung.getsockname()[1]
        url = group.url.replace("://", f"://127.0.0.1:{port},")
        with closing(hung), closing(RedisStore(url, prefix=prefix, timeout=1.0)) as store:
            asked = []
            for _ in range(2):
                store._server._topology.failed(Node("127.0.0.1", group.primary().port), None)
                assert store.load("key") is None
                asked.append(_connections(hung))
            assert asked == [1, 0]


def _connections(server: socket.socket) -> int:
    """Accept the waiting connections of a server, close them, and return their number."""
    number = 0
    with suppress(BlockingIOError):
        while True:
            server.accept()[0].close()
            number += 1
    return number


def test_explains_why_no_server_is_found(sentinels: ValkeyGroup, cluster: ValkeyGroup) -> None:
    first = cluster.servers[0]
    key = next(
        f"{number}"
        for number in itertools.count()
        if cluster.primary(f"grantway:{number}".encode()) is not first
    )
    for url, reason in (
        (sentinels.url.replace("/tokens/", "/logins/"), "monitors no service named 'logins'"),
        (f"redis+sentinel://127.0.0.1:{free_port()}/tokens", "Sentinel 127.0.0.1.* be reached"),
        (f"redis+cluster://127.0.0.1:{free_port()}", "cannot be reached"),
        (f"redis+cluster://127.0.0.1:{sentinels.primary().port}", "not part of a cluster"),
        (f"redis+sentinel://127.0.0.1:{first.port}/tokens", "not a Sentinel"),
        (f"redis://127.0.0.1:{first.port}", r"use redis\+cluster://"),
    ):
        with (
            closing(RedisStore(url, failover=0.2)) as store,
            pytest.raises(StoreUnreadableError, match=reason),
        ):
            store.load(key)
