"""A store in a Redis or Valkey server, shared by many machines."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import TYPE_CHECKING, Any

from grantway._credentials.token_format import decode_token, encode_token
from grantway._exceptions import (
    LeaseLostError,
    StoreError,
    StoreSaveError,
    StoreUnreadableError,
)
from grantway._processes.copies import OneProcess
from grantway._secrets.masked import Masked
from grantway_plugins._databases.steps import Steps, run, run_async
from grantway_plugins._redis.commands import Command, script
from grantway_plugins._redis.server import RedisServer
from grantway_plugins.stores._shared.lease import (
    REMEMBERED,
    check_lease,
    hold_lease,
    hold_lease_async,
)
from grantway_plugins.stores._shared.lifetime import check_keep_for, lifetime

from . import _scripts as scripts
from ._lease import RedisLease

if TYPE_CHECKING:
    from grantway._types.token import Token


class RedisStore(OneProcess):
    """Stores tokens in Redis 6.2 or later, or in Valkey: one server, with Sentinels, or a cluster.

    The durability of a saved token depends on the servers: see ``on_disk`` and ``replicas``. The
    store is thread-safe and fork-safe. In an event loop, it runs without threads, except that
    asyncio looks up host names in one.

    Args:
        url: ``redis://USER:PASSWORD@HOST:PORT/DATABASE`` or ``unix:///PATH`` for one server,
            ``redis+sentinel://USER:PASSWORD@HOST1,HOST2,HOST3/SERVICE/DATABASE`` for the primary
            that Sentinels report, or ``redis+cluster://USER:PASSWORD@HOST1,HOST2,HOST3`` for a
            cluster. With ``rediss`` instead of ``redis``, all connections use TLS. Options of
            redis-py may follow after ``?``; for Sentinels with a password, also
            ``sentinel_username`` and ``sentinel_password``.
        prefix: Prefix of the key names.
        lease: Seconds until the lock of a holder that died expires, from 0.2 to 3600. A live
            holder extends its lease every third of this time. Must be less than the client's
            ``timeout``, or waiting callers give up before the lease expires.
        keep_for: Seconds after its last save when a token is removed, from 3600. None keeps tokens
            with a refresh token until they are deleted. Tokens without one are removed after they
            expire, but not within an hour of the save.
        on_disk: Whether a save or deletion waits until the server, and each of ``replicas``, has
            written it to disk (``WAITAOF``, from Redis 7.2 or Valkey 7.2). It raises
            ``StoreError`` if the server has no append-only file.
        replicas: Number of replicas that must confirm a save, a deletion and a lock (``WAIT``). The
            default is 1 with Sentinels or a cluster, otherwise 0.
        failover: Seconds to repeat a call while its server is down, starting or being replaced.
            The default is 15 with Sentinels or a cluster, otherwise 0.
        timeout: Seconds to connect, and to wait for a response; half of it to wait for a
            confirmation.
        connections: Maximum number of open connections to each server, for the threads and for
            each event loop; callers wait for a free one.
        allow_insecure: Whether to accept a server on another host without TLS, which sends tokens
            and the password in clear text.

    Raises:
        ConfigurationError: An option is invalid. The constructor does not connect.
    """

    def __init__(
        self,
        url: str = "redis://localhost:6379/0",
        *,
        prefix: str = "grantway:",
        lease: float = 10.0,
        keep_for: float | None = None,
        on_disk: bool = False,
        replicas: int | None = None,
        failover: float | None = None,
        timeout: float = 5.0,
        connections: int = 16,
        allow_insecure: bool = False,
    ) -> None:
        address = Masked(url)
        del url  # error reports that print the locals of each frame would reveal the password
        # Set first, because error reports may call __repr__ if the constructor fails.
        self._where, self._prefix = "not open", prefix
        self._lease = check_lease(lease)
        self._keep_for = check_keep_for(keep_for)
        self._timeout = timeout
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

    def load(self, key: str) -> Token | None:
        """Load a token; see ``grantway.Store``."""
        return run(self._load(key), self._server.run)

    async def load_async(self, key: str) -> Token | None:
        """See ``load``."""
        return await run_async(self._load(key), self._server.run_async)

    def save(self, key: str, token: Token, *, fence: int = 0) -> None:
        """Save a token; see ``grantway.Store``; ``on_disk`` and ``replicas`` set the durability."""
        run(self._save(key, token, fence), self._server.run)

    async def save_async(self, key: str, token: Token, *, fence: int = 0) -> None:
        """See ``save``."""
        await run_async(self._save(key, token, fence), self._server.run_async)

    def delete(self, key: str, *, fence: int = 0) -> None:
        """Delete a token; see ``grantway.Store``."""
        run(self._delete(key, fence), self._server.run)

    async def delete_async(self, key: str, *, fence: int = 0) -> None:
        """See ``delete``."""
        await run_async(self._delete(key, fence), self._server.run_async)

    def lock(self, key: str, timeout: float) -> AbstractContextManager[int]:
        """Lock the key among all users of the same server, database and prefix."""
        return hold_lease(
            self._lease_of(key, timeout), self._server.run, **self._terms(key, timeout)
        )

    def lock_async(self, key: str, timeout: float) -> AbstractAsyncContextManager[int]:
        """See ``lock``."""
        lease = self._lease_of(key, timeout)
        return hold_lease_async(lease, self._server.run_async, **self._terms(key, timeout))

    def close(self) -> None:
        """Close the connections of threads. Later calls open new ones.

        The connections of an event loop are closed when ``asyncio.run`` ends, or with
        ``close_async`` on that loop.
        """
        self._server.close()

    async def close_async(self) -> None:
        """Close the connections of the running event loop. Later calls open new ones."""
        await self._server.close_async()

    def __repr__(self) -> str:
        return f"RedisStore({self._where}, prefix={self._prefix!r})"

    def _name(self, key: str) -> bytes:
        return (self._prefix + key).encode("utf-8", "surrogatepass")

    def _lease_lost(self, key: str) -> LeaseLostError:
        return LeaseLostError(
            f"{self._where}, key {self._prefix + key!r}: a later holder of the lock has saved "
            "or deleted the token; nothing was changed. Load the token again."
        )

    def _load(self, key: str) -> Steps[Token | None]:
        name = self._name(key)
        words = ["HMGET", name, "token", "fence"]
        record, problem = yield Command(name, words, reads=True, fence_at=1)
        if problem:
            raise StoreUnreadableError(f"{self._where}: cannot be read: {problem}.")
        if record.value[0] is None:
            return None
        return decode_token(record.value[0], f"{self._where}, key {self._prefix + key!r}")

    def _save(self, key: str, token: Token, fence: int) -> Steps[None]:
        life = lifetime(token, self._keep_for, least=REMEMBERED + self._lease)
        milliseconds = -1 if life is None else int(life * 1000)
        problem = yield from self._change(key, fence, milliseconds, Masked(encode_token(token)))
        if problem:
            raise StoreSaveError(f"{self._where}: the token was not saved: {problem}.")

    def _delete(self, key: str, fence: int) -> Steps[None]:
        life = int((REMEMBERED + self._lease) * 1000)
        problem = yield from self._change(key, fence, life)
        if problem:
            raise StoreError(f"{self._where}: the token was not deleted: {problem}.")

    def _change(self, key: str, fence: int, life: int, *record: Masked[bytes]) -> Steps[str]:
        """Save or delete a record, and return a problem, which is empty on success."""
        name = self._name(key)
        words = script(
            scripts.CHANGE,
            name,
            fence,
            int(REMEMBERED * 1000),
            life,
            *(each.value for each in record),
        )
        command = Command(name, words, confirm=self._server.confirmation)
        del words  # error reports that print the locals of each frame would reveal the record
        changed, problem = yield command
        if not problem and not changed.value:
            raise self._lease_lost(key)
        return str(problem)

    def _lease_of(self, key: str, timeout: float) -> RedisLease:
        return RedisLease(self._server, self._name(key), self._lease, timeout)

    def _terms(self, key: str, timeout: float) -> dict[str, Any]:
        where = f"{self._where}, lock of {self._prefix + key!r}"
        return {"seconds": self._lease, "timeout": timeout, "where": where}
