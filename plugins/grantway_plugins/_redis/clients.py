"""Clients of redis-py for each server: with threads, and on each event loop."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from grantway._exceptions import ConfigurationError
from grantway_plugins._databases.connection_security import require_encrypted

from .errors import InsecureServerError
from .location import Location, Node

#: Errors after which a command is sent again. All commands are idempotent, and the usual reason is
#: that the server closed an idle connection. After a timeout, the time is used up.
_RETRIED = (redis.ConnectionError,)
#: Most servers whose connections are kept. Servers are replaced over the years, and a client for
#: one that is gone holds closed sockets.
_MOST = 64
#: Seconds after which a surplus client is closed. Closing it earlier would break calls in progress.
_GRACE = 60.0


class Clients:
    """A bounded pool of connections for each server, created on first use.

    Args:
        make: Creates the client of a server.
    """

    def __init__(self, make: Callable[[Node], Any]) -> None:
        self._make = make
        self._held: dict[Node, Any] = {}
        self._surplus: deque[tuple[float, Any]] = deque()

    def get(self, node: Node) -> Any:
        """Return the client of a server."""
        found = self._held.get(node)
        return found if found is not None else self._held.setdefault(node, self._make(node))

    def surplus(self) -> list[Any]:
        """Remove the clients that were created first, if there are too many.

        Returns:
            The clients to close, which were removed some time ago.
        """
        if len(self._held) <= _MOST and not self._surplus:
            return []
        now = time.monotonic()
        for node in list(self._held)[: max(0, len(self._held) - _MOST)]:
            self._surplus.append((now, self._held.pop(node, None)))
        ready = []
        with suppress(IndexError):  # another thread may have removed the last one
            while self._surplus[0][0] <= now - _GRACE:
                ready.append(self._surplus.popleft()[1])
        return [each for each in ready if each is not None]

    def close(self) -> None:
        """Close the connections of threads. Later calls open new ones."""
        for client in self._all():
            client.close()

    async def aclose(self) -> None:
        """Close the connections of an event loop."""
        for client in self._all():
            await client.aclose()

    def _all(self) -> list[Any]:
        removed = [each for _since, each in self._surplus if each is not None]
        return [*self._held.values(), *removed]


class Connecting:
    """Creates clients.

    Args:
        location: The servers of the store.
        timeout: Seconds to connect, to wait for a response, and to wait for a free connection.
        connections: Maximum number of open connections in each pool.
        allow_insecure: Whether to accept a server on another host without TLS.

    Attributes:
        first: Options of the connections to the first server.

    Raises:
        ConfigurationError: The URL is invalid, or names another host without TLS.
    """

    def __init__(
        self, location: Location, *, timeout: float, connections: int, allow_insecure: bool
    ) -> None:
        self._location = location
        self._allow_insecure = allow_insecure
        self._options = {
            "max_connections": connections,
            "timeout": timeout,
            "socket_timeout": timeout,
            "socket_connect_timeout": timeout,
            # With protocol 3, redis-py's pool does not check whether an idle connection is open.
            "protocol": 2,
        }
        pool = self._pool(location.nodes[0])
        self.first = pool.connection_kwargs
        self._encrypted = issubclass(pool.connection_class, redis.SSLConnection) or issubclass(
            pool.connection_class, redis.UnixDomainSocketConnection
        )
        if location.kind == "server":
            self._require_encrypted(str(self.first.get("host", "localhost")))
        for node in location.nodes:
            self._require_encrypted(node.host or "localhost")

    def blocking(self, node: Node) -> redis.Redis:
        """Return a client for threads."""
        self._check(node)
        return redis.Redis.from_pool(self._pool(node))

    def asynchronous(self, node: Node) -> Any:
        """Return a client for the running event loop."""
        import redis.asyncio as client  # noqa: PLC0415 - not needed without an event loop
        from redis.asyncio.retry import Retry as AsyncRetry  # noqa: PLC0415 - as redis.asyncio

        self._check(node)
        retry = AsyncRetry(ExponentialBackoff(cap=0.1, base=0.01), 1, _RETRIED)
        url = self._location.url(node)
        pool = client.BlockingConnectionPool.from_url(url.value, **self._options, retry=retry)
        return client.Redis.from_pool(pool)

    def _check(self, node: Node) -> None:
        """Check a server that a Sentinel or the cluster has named."""
        try:
            self._require_encrypted(node.host or "localhost")
        except ConfigurationError:
            raise InsecureServerError(
                "it is another host, and would be reached without TLS; use a URL with rediss, or "
                "set allow_insecure=True if you trust the network in between"
            ) from None

    def _require_encrypted(self, host: str) -> None:
        hosts = [] if self._encrypted else [host]
        require_encrypted(hosts, allow_insecure=self._allow_insecure, remedy="use rediss://")

    def _pool(self, node: Node) -> redis.BlockingConnectionPool:
        try:
            retry = Retry(ExponentialBackoff(cap=0.1, base=0.01), 1, _RETRIED)
            url = self._location.url(node)
            pool = redis.BlockingConnectionPool.from_url(url.value, **self._options, retry=retry)
            # Creating a connection (without connecting) checks the options in the URL.
            pool.connection_class(**pool.connection_kwargs)
        except (TypeError, ValueError, redis.RedisError):
            pass
        else:
            return pool
        # Raised outside the except block, because redis-py's error quotes parts of the URL.
        rule = (
            "must be like rediss://USER:PASSWORD@HOST:PORT/0, with options that redis-py supports"
        )
        raise ConfigurationError(f"url: {rule}.", errors={"url": [rule]})
