"""Records of connections in Redis or Valkey."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any

from grantway._exceptions import ConfigurationError, StoreError, StoreUnreadableError
from grantway._processes.copies import OneProcess
from grantway._secrets.masked import Masked
from grantway_plugins._redis.commands import Command, script
from grantway_plugins._redis.server import RedisServer
from grantway_plugins.gateway._connections.connection import Connection, ConnectionEvent
from grantway_plugins.gateway._connections.records import Job

from . import redis_scripts as scripts
from .identifiers import event_ids, new_version

#: Most values, and users with old events, that one script removes: others wait for it.
_STEP = 200


class RedisRecords(OneProcess):
    """Keeps the records on one server, with Sentinels, or on one primary of a cluster.

    All keys contain the same hash tag, so that a script can change several. In a cluster, they are
    therefore on one server; 100,000 connections take about 60 MB of its memory. Calls may fail
    while their slot is moved to another server.

    Changes and claims are confirmed by replicas or the disk, as in ``RedisStore``, which describes
    the arguments. ``take`` is not: a value taken just before a failover may be taken again.

    Raises:
        ConfigurationError: An option is invalid. The constructor does not connect.
    """

    def __init__(
        self,
        url: str = "redis://localhost:6379/0",
        *,
        prefix: str = "grantway:",
        on_disk: bool = False,
        replicas: int | None = None,
        failover: float | None = None,
        timeout: float = 5.0,
        connections: int = 16,
        allow_insecure: bool = False,
    ) -> None:
        address = Masked(url)
        del url  # error reports that print the locals of each frame would reveal the password
        self._where, self._prefix = "not open", prefix
        if "{}" in prefix:
            rule = "must not contain {}, because a cluster would then distribute the keys"
            raise ConfigurationError(f"prefix: {rule}.", errors={"prefix": [rule]})
        self._base = f"{prefix}{{connections}}".encode("utf-8", "surrogatepass")
        self._server = RedisServer(
            address,
            timeout=timeout,
            connections=connections,
            allow_insecure=allow_insecure,
            on_disk=on_disk,
            replicas=replicas,
            failover=failover,
        )
        self._where = self._server.where

    async def connection(self, user: str, provider: str) -> Connection | None:
        """See ``ConnectionRecords``."""
        id_ = f"{user} {provider}"
        record = await self._read(["GET", self._base + b":c:" + _bytes(id_)])
        return None if record is None else _connection(id_, _text(record))

    async def connections(self, user: str) -> Sequence[Connection]:
        """See ``ConnectionRecords``."""
        # A user's identifier contains no space, so no other user's are between these.
        return await self._list(b"[" + _bytes(user) + b" ", b"(" + _bytes(user) + b"!", -1)

    async def page(self, after: str = "", limit: int = 100) -> Sequence[Connection]:
        """See ``ConnectionRecords``."""
        return await self._list(b"(" + _bytes(after), b"+", limit)

    async def counts(self) -> dict[tuple[str, str], int]:
        """See ``ConnectionRecords``."""
        found = await self._read(["HGETALL", self._base + b":counts"])
        counts = {}
        for field, number in found.items():
            state, _, provider = _text(field).partition(" ")
            counts[provider, state] = int(number)
        return counts

    async def put(
        self,
        connection: Connection,
        *,
        events: Sequence[ConnectionEvent] = (),
        jobs: Sequence[Job] = (),
    ) -> None:
        """See ``ConnectionRecords``."""
        await self._save(connection, "", events, jobs)

    async def change(
        self,
        connection: Connection,
        *,
        events: Sequence[ConnectionEvent] = (),
        jobs: Sequence[Job] = (),
    ) -> bool:
        """See ``ConnectionRecords``."""
        return await self._save(connection, str(connection.version), events, jobs)

    async def remove(
        self,
        user: str,
        provider: str,
        *,
        events: Sequence[ConnectionEvent] = (),
        jobs: Sequence[Job] = (),
    ) -> bool:
        """See ``ConnectionRecords``."""
        id_ = _bytes(f"{user} {provider}")
        return bool(await self._change(scripts.REMOVE, id_, *_recorded(events, jobs)))

    async def claim_due(self, now: float, *, lease: float, limit: int) -> Sequence[Connection]:
        """See ``ConnectionRecords``."""
        times = (repr(float(now)), repr(float(now + lease)))
        found = await self._change(scripts.CLAIM_DUE, *times, limit, new_version())
        return [_connection(id_, record) for id_, record in _pairs(found)]

    async def schedule(self, job: Job) -> None:
        """See ``ConnectionRecords``."""
        await self._change(scripts.RECORD, *_recorded((), [job]))

    async def claim_jobs(self, now: float, *, lease: float, limit: int) -> Sequence[Job]:
        """See ``ConnectionRecords``."""
        times = (repr(float(now)), repr(float(now + lease)))
        claimed = []
        for id_, record in _pairs(await self._change(scripts.CLAIM_JOBS, *times, limit)):
            attempts, _, payload = record.partition("\n")
            claimed.append(Job(id_, now + lease, payload, int(attempts)))
        return claimed

    async def finish(self, job_id: str) -> None:
        """See ``ConnectionRecords``."""
        await self._change(scripts.FINISH, _bytes(job_id))

    async def keep(self, key: str, value: str, expires_at: float) -> None:
        """See ``ConnectionRecords``."""
        expiry = repr(float(expires_at))
        await self._change(scripts.KEEP, _digest(key), expiry, _bytes(value))

    async def kept(self, key: str, now: float) -> str | None:
        """See ``ConnectionRecords``."""
        name = self._base + b":v:" + _digest(key).encode()
        return _unexpired(await self._read(["GET", name]), now)

    async def take(self, key: str, now: float) -> str | None:
        """See ``ConnectionRecords``."""
        taken = await self._change(scripts.TAKE, _digest(key), confirm=False)
        return _unexpired(taken, now)

    async def record(self, events: Sequence[ConnectionEvent]) -> None:
        """See ``ConnectionRecords``."""
        if events:
            await self._change(scripts.RECORD, *_recorded(events, ()))

    async def history(self, user: str, limit: int = 50) -> Sequence[ConnectionEvent]:
        """See ``ConnectionRecords``."""
        name = self._base + b":e:" + _bytes(user)
        found = await self._read(["ZREVRANGE", name, 0, limit - 1]) if limit > 0 else []
        events = []
        for record in found:
            provider, event, at, reason, count = json.loads(record.partition(b"\n")[2])
            events.append(ConnectionEvent(user, provider, event, at, reason, count))
        return events

    async def prune(self, now: float, *, audit_seconds: float) -> None:
        """See ``ConnectionRecords``."""
        for code, time in (
            (scripts.REMOVE_VALUES, now),
            (scripts.REMOVE_EVENTS, now - audit_seconds),
        ):
            while await self._change(code, repr(float(time)), _STEP) == _STEP:
                pass

    async def close(self) -> None:
        """See ``ConnectionRecords``."""
        await self._server.close_async()

    def __repr__(self) -> str:
        return f"RedisRecords({self._where}, prefix={self._prefix!r})"

    async def _list(self, first: bytes, last: bytes, limit: int) -> list[Connection]:
        found = await self._read(script(scripts.LIST, self._base, first, last, limit))
        return [_connection(id_, record) for id_, record in _pairs(found)]

    async def _save(
        self,
        connection: Connection,
        replaced: str,
        events: Sequence[ConnectionEvent],
        jobs: Sequence[Job],
    ) -> bool:
        working = connection.state == "connected" and connection.due_at < math.inf
        saved = await self._change(
            scripts.SAVE,
            _bytes(connection.id),
            replaced,
            new_version(),
            repr(float(connection.due_at)) if working else "",
            _record(connection),
            *_recorded(events, jobs),
        )
        return bool(saved)

    async def _read(self, words: list[Any]) -> Any:
        command = Command(self._base, words, reads=True)
        found, problem = await self._server.run_async(command)
        if problem:
            raise StoreUnreadableError(f"{self._where}: connections cannot be read: {problem}.")
        return found.value

    async def _change(self, code: str, *arguments: Any, confirm: bool = True) -> Any:
        words = script(code, self._base, *arguments)
        confirmation = self._server.confirmation if confirm else None
        changed, problem = await self._server.run_async(
            Command(self._base, words, confirm=confirmation)
        )
        if problem:
            raise StoreError(f"{self._where}: a change of connections was not saved: {problem}.")
        return changed.value


def _record(connection: Connection) -> bytes:
    rest = [
        connection.connected_at,
        connection.refreshed_at,
        connection.used_at,
        connection.details,
    ]
    lines = (connection.state, repr(float(connection.due_at)), json.dumps(rest))
    return "\n".join(lines).encode()


def _connection(id_: str, record: str) -> Connection:
    version, state, due_at, rest = record.split("\n", 3)
    user, _, provider = id_.partition(" ")
    connected_at, refreshed_at, used_at, details = json.loads(rest)
    return Connection(
        user,
        provider,
        "broken" if state == "broken" else "connected",
        connected_at,
        refreshed_at,
        used_at,
        float(due_at),
        details,
        int(version),
    )


def _recorded(events: Sequence[ConnectionEvent], jobs: Sequence[Job]) -> list[Any]:
    words: list[Any] = [len(events)]
    for id_, each in zip(event_ids(), events, strict=False):
        facts = json.dumps([each.provider, each.name, each.at, each.reason, each.count])
        words += [_bytes(each.user), repr(float(each.at)), f"{id_}\n{facts}"]
    words.append(len(jobs))
    for job in jobs:
        words += [_bytes(job.id), repr(float(job.due_at)), _bytes(f"{job.attempts}\n{job.payload}")]
    return words


def _unexpired(record: bytes | None, now: float) -> str | None:
    if record is None:
        return None
    expires_at, _, value = _text(record).partition("\n")
    return value if now < float(expires_at) else None


def _pairs(found: bytes) -> Iterable[tuple[str, str]]:
    flat = json.loads(found) if found else []
    return zip(flat[::2], flat[1::2], strict=True)


def _digest(key: str) -> str:
    return sha256(_bytes(key)).hexdigest()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")
