"""A store in a Redis or Valkey server, shared by many machines."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

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
from grantway_plugins.stores._shared.lease import REMEMBERED, check_lease, hold_lease
from grantway_plugins.stores._shared.lifetime import check_keep_for, lifetime

from ._server import RedisLease, RedisServer

if TYPE_CHECKING:
    from grantway._types.token import Token


class RedisStore(OneProcess):
    """Stores tokens in Redis 6.2 or later, or in Valkey.

    The durability of a saved token depends on the server: see ``on_disk`` and ``replicas``. The
    store is thread-safe and fork-safe.

    Args:
        url: ``redis://USER:PASSWORD@HOST:PORT/DATABASE``, ``rediss://`` for TLS, or
            ``unix:///PATH``. Options of redis-py may follow after ``?``.
        prefix: Prefix of the key names.
        lease: Seconds until the lock of a holder that died expires, from 0.2 to 3600. A live
            holder extends its lease every third of this time. Must be less than the client's
            ``timeout``, or waiting callers give up before the lease expires.
        keep_for: Seconds after its last save when a token is removed, from 3600. None keeps tokens
            with a refresh token until they are deleted. Tokens without one are removed after they
            expire, but not within an hour of the save.
        on_disk: Whether a save waits until the server, and each of ``replicas``, has written it to
            disk (``WAITAOF``, from Redis 7.2 or Valkey 7.2). Saving raises ``StoreSaveError`` if
            the server has no append-only file.
        replicas: Number of replicas that must confirm a save.
        timeout: Seconds to connect, to wait for a response, and to wait for the confirmation of a
            save.
        connections: Maximum number of open connections; callers wait for a free one.
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
        replicas: int = 0,
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
        check_seconds("timeout", timeout, least=0.01)
        check_count("connections", connections, most=MOST_CONNECTIONS)
        check_count("replicas", replicas, least=0)
        self._timeout = timeout
        self._server = RedisServer(
            address,
            timeout=timeout,
            connections=connections,
            allow_insecure=allow_insecure,
            on_disk=on_disk,
            replicas=replicas,
        )
        self._where = self._server.where

    def load(self, key: str) -> Token | None:
        """Load a token; see ``grantway.Store``."""
        record, problem = self._server.run(self._server.client.hget, self._name(key), "token")
        if problem:
            raise StoreUnreadableError(f"{self._where}: cannot be read: {problem}.")
        if record.value is None:
            return None
        return decode_token(record.value, f"{self._where}, key {self._prefix + key!r}")

    def save(self, key: str, token: Token, *, fence: int = 0) -> None:
        """Save a token; see ``grantway.Store``; ``on_disk`` and ``replicas`` set the durability."""
        name = self._name(key)
        life = lifetime(token, self._keep_for, least=REMEMBERED + self._lease)
        milliseconds = -1 if life is None else int(life * 1000)
        result, problem = self._server.run(
            self._server.change_durably,
            name,
            [fence, int(REMEMBERED * 1000), milliseconds, encode_token(token)],
        )
        if problem:
            raise StoreSaveError(f"{self._where}: the token was not saved: {problem}.")
        changed, missing = result.value
        if not changed:
            raise self._lease_lost(key)
        if missing:
            raise StoreSaveError(
                f"{self._where}: the token is in the server's memory, but {missing} within "
                f"{self._timeout:g} s. Save it again, or check the server's disk and replicas."
            )

    def delete(self, key: str, *, fence: int = 0) -> None:
        """Delete a token; see ``grantway.Store``."""
        life = int((REMEMBERED + self._lease) * 1000)
        changed, problem = self._server.run(
            self._server.change, [self._name(key)], [fence, int(REMEMBERED * 1000), life]
        )
        if problem:
            raise StoreError(f"{self._where}: the token was not deleted: {problem}.")
        if not changed.value:
            raise self._lease_lost(key)

    def lock(self, key: str, timeout: float) -> AbstractContextManager[int]:
        """Lock the key among all users of the same server, database and prefix."""
        return hold_lease(
            RedisLease(self._server, self._name(key), self._lease),
            seconds=self._lease,
            timeout=timeout,
            where=f"{self._where}, lock of {self._prefix + key!r}",
        )

    def close(self) -> None:
        """Close the connections. Later calls open new ones."""
        self._server.close()

    def __repr__(self) -> str:
        return f"RedisStore({self._where}, prefix={self._prefix!r})"

    def _name(self, key: str) -> bytes:
        return (self._prefix + key).encode("utf-8", "surrogatepass")

    def _lease_lost(self, key: str) -> LeaseLostError:
        return LeaseLostError(
            f"{self._where}, key {self._prefix + key!r}: a later holder of the lock has saved "
            "or deleted the token; nothing was changed. Load the token again."
        )
