"""Connections to a Redis or Valkey server, and leases of its keys."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from grantway._exceptions import ConfigurationError, StoreUnreadableError
from grantway._processes.per_loop import PerLoop
from grantway._secrets.masked import Masked
from grantway_plugins.stores._shared.connection_security import require_encrypted
from grantway_plugins.stores._shared.lease import REMEMBERED
from grantway_plugins.stores._shared.steps import Steps

from ._commands import Command, Commands, Confirmation
from ._errors import explain

#: Errors after which a command is sent again. All commands are idempotent, and the usual reason is
#: that the server closed an idle connection. After a timeout, the time is used up.
_RETRIED = (redis.ConnectionError,)


class RedisServer:
    """Bounded pools of connections to a server: one for threads, and one for each event loop.

    Args:
        url: URL of the server.
        timeout: Seconds to connect, to wait for a response, and to wait for a free connection.
        connections: Maximum number of open connections in each pool.
        allow_insecure: Whether to accept a server on another host without TLS.
        on_disk: Whether a save waits until it is on disk.
        replicas: Number of replicas that must confirm a save.

    Attributes:
        where: Address of the server without credentials, for errors.
        confirmation: The confirmation that a save waits for.

    Raises:
        ConfigurationError: The URL is invalid, or names another host without TLS.
    """

    def __init__(
        self,
        url: Masked[str],
        *,
        timeout: float,
        connections: int,
        allow_insecure: bool,
        on_disk: bool,
        replicas: int,
    ) -> None:
        options = _options(timeout, connections)
        pool = _pool(url, options)
        if not issubclass(pool.connection_class, redis.SSLConnection):
            local = issubclass(pool.connection_class, redis.UnixDomainSocketConnection)
            host = str(pool.connection_kwargs.get("host", "localhost"))
            require_encrypted(
                [] if local else [host], allow_insecure=allow_insecure, remedy="use rediss://"
            )
        self.where = _address(pool.connection_kwargs, url)
        # Half of the timeout, so that the server responds before this side times out.
        self.confirmation = Confirmation(on_disk, replicas, int(timeout * 1000 / 2))
        self._blocking = Commands(redis.Redis.from_pool(pool))
        self._loops = PerLoop(lambda: _connect(url, options), Commands.aclose)

    def run(self, command: Command) -> tuple[Masked[Any], str]:
        """Return the command's result and a problem, which is empty on success.

        The caller raises the error, because the frames of redis-py's error contain the record.
        """
        try:
            return Masked(command.judge(command.send(self._blocking))), ""
        except (redis.RedisError, OSError) as failed:
            return Masked(None), explain(failed)

    async def run_async(self, command: Command) -> tuple[Masked[Any], str]:
        """Do the same as ``run`` on the event loop."""
        try:
            return Masked(command.judge(await command.send(self._loops.get()))), ""
        except (redis.RedisError, OSError) as failed:
            return Masked(None), explain(failed)

    def close(self) -> None:
        """Close the connections of threads."""
        self._blocking.client.close()

    async def close_async(self) -> None:
        """Close the connections of the running event loop."""
        await self._loops.close()


class RedisLease:
    """The lease of one Redis key; see ``lease.Lease``."""

    def __init__(self, server: RedisServer, name: bytes, seconds: float) -> None:
        self._server = server
        self._keys = [name]
        self._owner = secrets.token_hex(16)
        self._times = [int(seconds * 1000), int(REMEMBERED * 1000)]

    def acquire(self) -> Steps[int | None]:
        """Acquire the lease; see ``lease.Lease``."""
        fence = yield from self._run("acquire", *self._times)
        return None if fence is None else int(fence)

    def extend(self) -> Steps[bool]:
        """Extend the lease; see ``lease.Lease``."""
        return bool((yield from self._run("extend", *self._times)))

    def release(self) -> Steps[None]:
        """Release the lease; see ``lease.Lease``."""
        yield from self._run("release")

    def _run(self, script: str, *times: int) -> Steps[Any]:
        result, problem = yield Command(script, self._keys, [self._owner, *times])
        if problem:
            raise StoreUnreadableError(f"{self._server.where}: cannot be locked: {problem}.")
        return result.value


def _options(timeout: float, connections: int) -> dict[str, Any]:
    return {
        "max_connections": connections,
        "timeout": timeout,
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        # With protocol 3, redis-py's pool does not check whether an idle connection is open.
        "protocol": 2,
    }


def _connect(url: Masked[str], options: Mapping[str, Any]) -> Commands:
    import redis.asyncio as client  # noqa: PLC0415 - not needed without an event loop
    from redis.asyncio.retry import Retry as AsyncRetry  # noqa: PLC0415 - as redis.asyncio

    retry = AsyncRetry(ExponentialBackoff(cap=0.1, base=0.01), 1, _RETRIED)
    pool = client.BlockingConnectionPool.from_url(url.value, **options, retry=retry)
    return Commands(client.Redis.from_pool(pool))


def _pool(url: Masked[str], options: Mapping[str, Any]) -> redis.BlockingConnectionPool:
    try:
        retry = Retry(ExponentialBackoff(cap=0.1, base=0.01), 1, _RETRIED)
        pool = redis.BlockingConnectionPool.from_url(url.value, **options, retry=retry)
        # Creating a connection (without connecting) checks the options in the URL.
        pool.connection_class(**pool.connection_kwargs)
    except (TypeError, ValueError, redis.RedisError):
        pass
    else:
        return pool
    # Raised outside the except block, because redis-py's error quotes parts of the URL.
    rule = "must be like rediss://USER:PASSWORD@HOST:PORT/0, with options that redis-py supports"
    raise ConfigurationError(f"url: {rule}.", errors={"url": [rule]})


def _address(options: dict[str, Any], url: Masked[str]) -> str:
    """Return the address of the server for errors, without user, password and options."""
    scheme = urlsplit(url.value).scheme
    if scheme == "unix":
        return f"unix://{options.get('path', '')}"
    return (
        f"{scheme}://{options.get('host', 'localhost')}:{options.get('port', 6379)}"
        f"/{options.get('db', 0)}"
    )
