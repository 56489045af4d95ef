"""A store that many machines share: a Redis or Valkey server."""

from __future__ import annotations

from contextlib import AbstractContextManager
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
from grantway._types.quantity import MOST_CONNECTIONS, check_count, check_seconds
from grantway_plugins.stores._shared.lease import REMEMBERED, checked, held
from grantway_plugins.stores._shared.lifetime import checked_keep_for, lifetime

from . import _scripts as scripts
from ._server import RedisLease, RedisServer

if TYPE_CHECKING:
    from grantway._types.token import Token


class RedisStore(OneProcess):
    """Keeps tokens in Redis 6.2 or later, or in Valkey, for all machines that name the same server.

    What a saved token survives is the server's to promise: see ``on_disk`` and ``replicas``. A
    process that was forked may use it on; so may any number of threads.

    Args:
        url: ``redis://USER:PASSWORD@HOST:PORT/DATABASE``, ``rediss://`` for TLS, or
            ``unix:///PATH``; what redis-py takes after the ``?`` is taken too.
        prefix: What the name of every key begins with.
        lease: Seconds until the lock of a holder that died is free, from 0.2 to 3600. Renewed each
            third of it while its holder lives. Less than the client's ``timeout``, or who waits
            gives up before it is free.
        keep_for: Seconds after which a token that was not saved anew is forgotten, from 3600. None
            keeps a refresh token until it is deleted. A token without one is forgotten once it has
            ended, though not within an hour.
        on_disk: Whether a save waits until the server has written it to its disk (``WAITAOF``,
            from Redis 7.2 or Valkey 7.2), and each of ``replicas`` to its own; raises where the
            server keeps no append-only file.
        replicas: How many replicas a save waits for.
        timeout: Seconds that the server may take to connect, to answer, and to confirm a save.
        connections: Connections that are kept open at most; a caller waits for a free one.
        allow_insecure: Whether to accept a server on another host without TLS, which sends tokens
            and the password in the clear.

    Raises:
        ConfigurationError: an option cannot be what it is. No server is asked yet.
    """

    def __init__(
        self,
        url: str = "redis://localhost:6379/0",
        *,
        prefix: str = "grantway:",
        lease: float = 10.0,
        keep_for: float | None = None,
        on_disk: bool = False,
        replicas: int = 0,
        timeout: float = 5.0,
        connections: int = 16,
        allow_insecure: bool = False,
    ) -> None:
        address = Masked(url)
        del url  # a report that shows the locals of a traceback would show its password
        # First, for the repr of a store that cannot be made.
        self._where, self._prefix = "not open", prefix
        self._lease = checked(lease)
        self._keep_for = checked_keep_for(keep_for)
        check_seconds("timeout", timeout, least=0.01)
        check_count("connections", connections, most=MOST_CONNECTIONS)
        check_count("replicas", replicas, least=0)
        self._on_disk = on_disk
        self._replicas = replicas
        self._timeout = timeout
        self._server = RedisServer(
            address, timeout=timeout, connections=connections, allow_insecure=allow_insecure
        )
        self._where = self._server.where

    def load(self, key: str) -> Token | None:
        """See ``grantway.Store``."""
        record, problem = self._server.ask(
            lambda: self._server.client.hget(self._name(key), "token")
        )
        if problem:
            raise StoreUnreadableError(f"{self._where}: cannot be read: {problem}.")
        if record.value is None:
            return None
        return decode_token(record.value, f"{self._where}, key {self._prefix + key!r}")

    def save(self, key: str, token: Token, *, fence: int = 0) -> None:
        """See ``grantway.Store``; ``on_disk`` and ``replicas`` say what is promised."""
        answer, problem = self._server.ask(lambda: self._save(key, token, fence))
        if problem:
            raise StoreSaveError(f"{self._where}: the token was not saved: {problem}.")
        changed, missing = answer.value
        self._check(key, changed)
        if missing:
            raise StoreSaveError(
                f"{self._where}: the token is in the server's memory, but {missing} within "
                f"{self._timeout:g} s. Save it again, or see the server's disk and replicas."
            )

    def delete(self, key: str, *, fence: int = 0) -> None:
        """See ``grantway.Store``."""
        life = int((REMEMBERED + self._lease) * 1000)
        changed, problem = self._server.ask(
            lambda: self._server.change([self._name(key)], [fence, int(REMEMBERED * 1000), life])
        )
        if problem:
            raise StoreError(f"{self._where}: the token was not deleted: {problem}.")
        self._check(key, changed.value)

    def lock(self, key: str, timeout: float) -> AbstractContextManager[int]:
        """See ``grantway.Store``; among all who name the same server, database and prefix."""
        return held(
            RedisLease(self._server, self._name(key), self._lease),
            seconds=self._lease,
            timeout=timeout,
            where=f"{self._where}, lock of {self._prefix + key!r}",
        )

    def close(self) -> None:
        """Close the connections; those that are asked for later are opened anew."""
        self._server.close()

    def __repr__(self) -> str:
        return f"RedisStore({self._where}, prefix={self._prefix!r})"

    def _name(self, key: str) -> bytes:
        return (self._prefix + key).encode("utf-8", "surrogatepass")

    def _save(self, key: str, token: Token, fence: int) -> tuple[int, str]:
        """Whether it was changed, and who has not confirmed it."""
        life = lifetime(token, self._keep_for, least=REMEMBERED + self._lease)
        milliseconds = -1 if life is None else int(life * 1000)
        args: list[Any] = [fence, int(REMEMBERED * 1000), milliseconds, encode_token(token)]
        if not self._on_disk and not self._replicas:
            return self._server.change([self._name(key)], args), ""
        # Half, so that the server gives up waiting before this side gives up on the server.
        patience = int(self._timeout * 1000 / 2)
        # WAIT speaks of what the same connection wrote, so both go through one pipeline.
        pipeline: Any = self._server.client.pipeline(transaction=False)
        with pipeline:
            pipeline.eval(scripts.CHANGE, 1, self._name(key), *args)
            if self._on_disk:
                pipeline.execute_command("WAITAOF", 1, self._replicas, patience)
            else:
                pipeline.execute_command("WAIT", self._replicas, patience)
            # Raised there, an error would be given the record to quote.
            changed, reached = pipeline.execute(raise_on_error=False)
        for answer in (changed, reached):
            if isinstance(answer, Exception):
                raise answer
        here, there = reached if self._on_disk else (1, reached)
        if not here:
            return changed, "it was not written to its disk"
        if there < self._replicas:
            return changed, f"only {there} of {self._replicas} replicas confirmed it"
        return changed, ""

    def _check(self, key: str, changed: int) -> None:
        if not changed:
            raise LeaseLostError(
                f"{self._where}, key {self._prefix + key!r}: a later holder of the lock has saved "
                "or deleted; nothing was changed. Read the store again."
            )
