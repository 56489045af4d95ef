"""Tests of the records in Valkey: one server, with Sentinels, and in a cluster."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from grantway._exceptions import ConfigurationError, StoreError, StoreUnreadableError
from grantway_plugins.gateway._connections._records.redis import RedisRecords
from grantway_plugins.gateway._connections.records import ConnectionRecords
from tests.plugins.gateway.connections.contract import (
    ALICE,
    BOB,
    DatabaseContract,
    Run,
    connection,
    event,
    job,
)
from tests.valkey import ValkeyServer, valkey_server
from tests.waiting import PATIENCE

PREFIXES = (f"t{number}:" for number in itertools.count())


@pytest.fixture(scope="module")
def server() -> Iterator[ValkeyServer]:
    with valkey_server() as server:
        yield server


class TestServer(DatabaseContract):
    """The contract for one server."""

    @pytest.fixture
    def reopen(self, server: ValkeyServer) -> Callable[[], RedisRecords]:
        return functools.partial(RedisRecords, server.url, prefix=next(PREFIXES), timeout=PATIENCE)

    def test_continues_after_a_restart_of_the_server(
        self, run: Run[Any], records: ConnectionRecords, server: ValkeyServer
    ) -> None:
        run(records.put(connection(), events=[event()], jobs=[job()]))
        server.restart()
        assert run(records.connection(ALICE, "github")) is not None
        server.restart()
        run(records.put(connection(BOB), events=[event(user=BOB)], jobs=[job("other")]))
        assert len(run(records.page())) == 2
        assert len(run(records.claim_jobs(100.0, lease=1.0, limit=9))) == 2
        server.stop()
        try:
            with pytest.raises(StoreUnreadableError, match="cannot be reached"):
                run(records.page())
            with pytest.raises(StoreError, match="not saved: it cannot be reached"):
                run(records.finish("job"))
        finally:
            server.restart()

    def test_leaves_no_keys_behind(
        self, run: Run[Any], records: ConnectionRecords, server: ValkeyServer
    ) -> None:
        run(records.put(connection(), events=[event()], jobs=[job()]))
        run(records.keep("key", "value", 1.0))
        run(records.remove(ALICE, "github"))
        run(records.finish("job"))
        run(records.prune(1e9, audit_seconds=1.0))
        assert isinstance(records, RedisRecords)
        with redis.Redis.from_url(server.url, protocol=2) as raw:
            assert raw.keys(records._base + b"*") == []


def test_rejects_invalid_options() -> None:
    with pytest.raises(ConfigurationError, match=r"prefix: must not contain \{\}"):
        RedisRecords(prefix="a{}b")
    with pytest.raises(ConfigurationError, match="without TLS"):
        RedisRecords("redis://:hidden@cache.example.com")
    with pytest.raises(ConfigurationError, match="replicas: must be"):
        RedisRecords(replicas=-1)
    records = RedisRecords("redis://:hidden@localhost/3")
    assert repr(records) == "RedisRecords(redis://localhost:6379/3, prefix='grantway:')"
