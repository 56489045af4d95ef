"""Records of connections in Redis or Valkey."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Sequence
from typing import Any

from grantway._exceptions import ConfigurationError, StoreError, StoreUnreadableError
from grantway._processes.copies import OneProcess
from grantway._secrets.masked import Masked
from grantway_plugins._redis.commands import Command, script
from grantway_plugins._redis.server import RedisServer
from grantway_plugins.gateway._connections.connection import Connection, ConnectionEvent
from grantway_plugins.gateway._connections.records import Job

from . import redis_scripts as scripts, redis_texts as texts
from .identifiers import new_version

#: Most values, and users with old events, that one script removes: others wait for it.
_STEP = 200

_log = logging.getLogger("grantway.gateway")


class RedisRecords(OneProcess):
    """Keeps the records on one server, with Sentinels, or on one primary of a cluster.

    All keys contain the same hash tag, so that a script can change several. In a cluster, they are
    therefore on one server; 100,000 connections take about 60 MB of its memory. Calls may fail
    while their slot is moved to another server.

    Changes and claims are confirmed by replicas or the disk, as in ``RedisStore``. ``take`` is not:
    a value taken just before a failover may be taken again.

    An entry that cannot be read is logged. A connection is then listed without details, and the
    next change replaces it.

    Args:
        url: As for ``RedisStore``.
        prefix: Prefix of the key names.
        options: Other arguments of ``RedisServer``.

    Raises:
        ConfigurationError: An option is invalid. The constructor does not connect.
    """

    def __init__(
        self,
        url: str = "redis://localhost:6379/0",
        *,
        prefix: str = "grantway:",
        **options: Any,
    ) -> None:
        address = Masked(url)
        del url  # error reports that print the locals of each frame would reveal the password
        self._where, self._prefix = "not open", prefix
        if "{}" in prefix:
            rule = "must not contain {}, because a cluster would then distribute the keys"
            raise ConfigurationError(f"prefix: {rule}.", errors={"prefix": [rule]})
        self._base = f"{prefix}{{connections}}".encode("utf-8", "surrogatepass")
        self._server = RedisServer(address, **options)
        self._where = self._server.where

    async def connection(self, user: str, provider: str) -> Connection | None:
        """See ``ConnectionRecords``."""
        id_ = f"{user} {provider}"
        found = await self._read(["GET", self._base + b":c:" + texts.encoded(id_)])
        if found is None:
            return None
        record = texts.decoded(found)
        return self._connection(id_, record) or texts.lost(id_, record)

    async def connections(self, user: str) -> Sequence[Connection]:
        """See ``ConnectionRecords``."""
        # A user's identifier contains no space, so no other user's are between these.
        name = texts.encoded(user)
        return await self._list(b"[" + name + b" ", b"(" + name + b"!", -1)

    async def page(self, after: str = "", limit: int = 100) -> Sequence[Connection]:
        """See ``ConnectionRecords``."""
        return await self._list(b"(" + texts.encoded(after), b"+", limit)

    async def counts(self) -> dict[tuple[str, str], int]:
        """See ``ConnectionRecords``."""
        found = await self._read(["HGETALL", self._base + b":counts"])
        counts = {}
        for field, number in found.items():
            state, _, provider = texts.decoded(field).partition(" ")
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
        id_ = texts.encoded(f"{user} {provider}")
        return bool(await self._change(scripts.REMOVE, id_, *texts.recorded(events, jobs)))

    async def claim_due(self, now: float, *, lease: float, limit: int) -> Sequence[Connection]:
        """See ``ConnectionRecords``."""
        times = (repr(float(now)), repr(float(now + lease)))
        found = await self._change(scripts.CLAIM_DUE, *times, limit, new_version())
        read = (self._connection(id_, record) for id_, record in texts.pairs(found))
        return [each for each in read if each is not None]

    async def schedule(self, job: Job) -> None:
        """See ``ConnectionRecords``."""
        await self._change(scripts.RECORD, *texts.recorded((), [job]))

    async def claim_jobs(self, now: float, *, lease: float, limit: int) -> Sequence[Job]:
        """See ``ConnectionRecords``."""
        times = (repr(float(now)), repr(float(now + lease)))
        claimed = []
        for id_, record in texts.pairs(await self._change(scripts.CLAIM_JOBS, *times, limit)):
            attempts, _, payload = record.partition("\n")
            if attempts:
                claimed.append(Job(id_, now + lease, payload, int(attempts)))
            else:
                key = f"{self._prefix}{{connections}}:j:{id_}"
                self._unreadable(f"the job {id_!r}", f"Delete it with its key, {key}")
        return claimed

    async def finish(self, job_id: str) -> None:
        """See ``ConnectionRecords``."""
        await self._change(scripts.FINISH, texts.encoded(job_id))

    async def keep(self, key: str, value: str, expires_at: float) -> None:
        """See ``ConnectionRecords``."""
        expiry = repr(float(expires_at))
        await self._change(scripts.KEEP, texts.digest(key), expiry, texts.encoded(value))

    async def kept(self, key: str, now: float) -> str | None:
        """See ``ConnectionRecords``."""
        name = self._base + b":v:" + texts.digest(key).encode()
        return texts.unexpired(await self._read(["GET", name]), now)

    async def take(self, key: str, now: float) -> str | None:
        """See ``ConnectionRecords``."""
        taken = await self._change(scripts.TAKE, texts.digest(key), confirm=False)
        return texts.unexpired(taken, now)

    async def record(self, events: Sequence[ConnectionEvent]) -> None:
        """See ``ConnectionRecords``."""
        if events:
            await self._change(scripts.RECORD, *texts.recorded(events, ()))

    async def history(self, user: str, limit: int = 50) -> Sequence[ConnectionEvent]:
        """See ``ConnectionRecords``."""
        name = self._base + b":e:" + texts.encoded(user)
        found = await self._read(["ZREVRANGE", name, 0, limit - 1]) if limit > 0 else []
        events = []
        for record in found:
            try:
                provider, event, at, reason, count = json.loads(record.partition(b"\n")[2])
                events.append(ConnectionEvent(user, provider, event, float(at), reason, int(count)))
            except (TypeError, ValueError):
                self._unreadable(f"an event of the user {user}", "It is removed after audit_days")
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
        pairs = texts.pairs(found)
        return [self._connection(id_, record) or texts.lost(id_, record) for id_, record in pairs]

    def _connection(self, id_: str, record: str) -> Connection | None:
        """Return a saved connection, or log that it cannot be read and return None."""
        try:
            return texts.parsed(id_, record)
        except (TypeError, ValueError):
            user, _, provider = id_.partition(" ")
            self._unreadable(
                f"the record of the connection of {user} to {provider}",
                "It is replaced when the token is refreshed by a request or the user connects "
                "again; or run: grantway gateway connections disconnect",
            )
        return None

    def _unreadable(self, entry: str, remedy: str) -> None:
        _log.error("%s: %s cannot be read, and is skipped. %s.", self._where, entry, remedy)

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
            texts.encoded(connection.id),
            replaced,
            new_version(),
            repr(float(connection.due_at)) if working else "",
            texts.written(connection),
            *texts.recorded(events, jobs),
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
