"""Tests of the records in Valkey: one server, with Sentinels, and in a cluster."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import redis

from grantway._exceptions import ConfigurationError
from grantway_plugins.gateway._connections._records.redis import RedisRecords
from grantway_plugins.gateway._connections.records import ConnectionRecords
from tests.plugins.gateway.connections.contract import (
    ALICE,
    Run,
    ServerContract,
    connection,
    event,
    job,
    numbers,
)
from tests.valkey import ValkeyServer, valkey_server
from tests.waiting import PATIENCE

PREFIXES = (f"t{number}:" for number in itertools.count())
#: Texts of connections that cannot be read; None for a key of another type.
UNREADABLE = [
    b"",
    b"no connection",
    b"7\nconnected\n1.0",
    b"7\nconnected\n1.0\n{",
    b"7\nconnected\n1.0\n[1, 2]",
    b"7\nconnected\n1.0\n[null, 2, 3, 4]",
    b"\xff\xfe\n\xff",
    None,
]


@pytest.fixture(scope="module")
def server() -> Iterator[ValkeyServer]:
    with valkey_server() as server:
        yield server


class TestServer(ServerContract):
    """The contract for one server."""

    @pytest.fixture
    def reopen(self, server: ValkeyServer) -> Callable[[], RedisRecords]:
        return functools.partial(RedisRecords, server.url, prefix=next(PREFIXES), timeout=PATIENCE)

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

    @pytest.mark.parametrize("text", UNREADABLE)
    def test_skips_a_connection_that_cannot_be_read(
        self,
        text: bytes | None,
        *,
        run: Run[Any],
        records: ConnectionRecords,
        server: ValkeyServer,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        for number in range(3):
            run(records.put(connection(provider=f"x{number}", due_at=float(number))))
        corrupt(records, server, f":c:{ALICE} x1", text)
        assert numbers(run(records.claim_due(9.0, lease=5.0, limit=9))) == [0, 2]
        assert f"the record of the connection of {ALICE} to x1 cannot be read" in caplog.text
        assert list(run(records.claim_due(13.9, lease=5.0, limit=9))) == []
        assert numbers(run(records.claim_due(14.0, lease=5.0, limit=1))) in ([], [0], [2])
        for listed in (run(records.page()), run(records.connections(ALICE))):
            assert [each.provider for each in listed] == ["x0", "x1", "x2"]
            assert (listed[1].state, listed[1].details) == ("connected", "")
        assert run(records.change(replace(listed[1], details="new", due_at=100.0)))
        assert run(records.connection(ALICE, "x1")).details == "new"
        assert numbers(run(records.claim_due(100.0, lease=5.0, limit=9))) == [0, 1, 2]
        corrupt(records, server, f":c:{ALICE} x1", text)
        run(records.put(connection(provider="x1")))
        corrupt(records, server, f":c:{ALICE} x1", text)
        assert run(records.remove(ALICE, "x1"))
        assert run(records.counts()) == {("x0", "connected"): 1, ("x2", "connected"): 1}

    @pytest.mark.parametrize("text", [b"", b"job", b"\xff\xfe\n\xff", None])
    def test_skips_a_job_that_cannot_be_read(
        self,
        text: bytes | None,
        *,
        run: Run[Any],
        records: ConnectionRecords,
        server: ValkeyServer,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        for number in range(3):
            run(records.schedule(job(f"x{number}", float(number))))
        corrupt(records, server, ":j:x1", text)
        assert numbers(run(records.claim_jobs(9.0, lease=5.0, limit=9))) == [0, 2]
        assert "the job 'x1' cannot be read, and is skipped" in caplog.text
        assert list(run(records.claim_jobs(13.9, lease=5.0, limit=9))) == []
        run(records.schedule(job("x1", 1.0)))
        assert numbers(run(records.claim_jobs(14.0, lease=5.0, limit=9))) == [0, 1, 2]

    def test_skips_events_and_values_that_cannot_be_read(
        self,
        run: Run[Any],
        records: ConnectionRecords,
        server: ValkeyServer,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        assert isinstance(records, RedisRecords)
        run(records.record([event()]))
        with redis.Redis.from_url(server.url, protocol=2) as raw:
            raw.zadd(records._base + f":e:{ALICE}".encode(), {b"1\n[1, 2]": 3, b"\xff": 4})
        assert list(run(records.history(ALICE))) == [event()]
        assert f"an event of the user {ALICE} cannot be read" in caplog.text
        run(records.keep("key", "value", 9.0))
        with redis.Redis.from_url(server.url, protocol=2) as raw:
            (name,) = raw.keys(records._base + b":v:*")
            raw.set(name, b"\xff")
        assert run(records.kept("key", 1.0)) is None
        assert run(records.take("key", 1.0)) is None


def corrupt(records: ConnectionRecords, server: ValkeyServer, key: str, text: bytes | None) -> None:
    """Replace the text of a key, or its type."""
    assert isinstance(records, RedisRecords)
    name = records._base + key.encode()
    with redis.Redis.from_url(server.url, protocol=2) as raw:
        assert raw.delete(name)
        if text is None:
            raw.hset(name, "field", "value")
        else:
            raw.set(name, text)


def test_rejects_invalid_options() -> None:
    with pytest.raises(ConfigurationError, match=r"prefix: must not contain \{\}"):
        RedisRecords(prefix="a{}b")
    with pytest.raises(ConfigurationError, match="without TLS"):
        RedisRecords("redis://:hidden@cache.example.com")
    with pytest.raises(ConfigurationError, match="replicas: must be"):
        RedisRecords(replicas=-1)
    records = RedisRecords("redis://:hidden@localhost/3")
    assert repr(records) == "RedisRecords(redis://localhost:6379/3, prefix='grantway:')"
