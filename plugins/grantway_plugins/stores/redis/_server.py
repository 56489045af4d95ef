"""Connections to a Redis or Valkey server, and leases of its keys."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from grantway._exceptions import ConfigurationError, StoreUnreadableError
from grantway._secrets.masked import Masked
from grantway_plugins.stores._shared.connection_security import require_encrypted
from grantway_plugins.stores._shared.lease import REMEMBERED

from . import _scripts as scripts
from ._errors import explain


class RedisServer:
    """A bounded pool of connections to a server, and the scripts that the server runs.

    Args:
        url: URL of the server.
        timeout: Seconds to connect, to wait for a response, and to wait for a free connection.
        connections: Maximum number of open connections.
        allow_insecure: Whether to accept a server on another host without TLS.
        on_disk: Whether a save waits until it is on disk.
        replicas: Number of replicas that must confirm a save.

    Attributes:
        where: Address of the server without credentials, for errors.
        client: Client that sends commands.

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
        pool = _pool(url, timeout, connections)
        if not issubclass(pool.connection_class, redis.SSLConnection):
            local = issubclass(pool.connection_class, redis.UnixDomainSocketConnection)
            host = str(pool.connection_kwargs.get("host", "localhost"))
            require_encrypted(
                [] if local else [host], allow_insecure=allow_insecure, remedy="use rediss://"
            )
        self.where = _address(pool.connection_kwargs, url)
        self.client: redis.Redis = redis.Redis.from_pool(pool)
        self.acquire = self.client.register_script(scripts.ACQUIRE)
        self.extend = self.client.register_script(scripts.EXTEND)
        self.release = self.client.register_script(scripts.RELEASE)
        self.change = self.client.register_script(scripts.CHANGE)
        self._on_disk, self._replicas = on_disk, replicas
        # Half of the timeout, so that the server responds before this side times out.
        self._wait = int(timeout * 1000 / 2)

    def run(self, command: Callable[..., Any], *arguments: Any) -> tuple[Masked[Any], str]:
        """Return the command's result and a problem, which is empty on success.

        The caller raises the error, because the frames of redis-py's error contain the record.
        """
        try:
            return Masked(command(*arguments)), ""
        except (redis.RedisError, OSError) as failed:
            return Masked(None), explain(failed)

    def change_durably(self, name: bytes, arguments: list[Any]) -> tuple[int, str]:
        """Run ``change``, and wait for the disk or the replicas if the store asks for that.

        Returns:
            Whether the key was changed, and the missing confirmation, if any.
        """
        if not self._on_disk and not self._replicas:
            return self.change([name], arguments), ""
        # WAIT covers only writes of the same connection, so send both in one pipeline.
        pipeline: Any = self.client.pipeline(transaction=False)
        with pipeline:
            pipeline.eval(scripts.CHANGE, 1, name, *arguments)
            if self._on_disk:
                pipeline.execute_command("WAITAOF", 1, self._replicas, self._wait)
            else:
                pipeline.execute_command("WAIT", self._replicas, self._wait)
            # An error raised by the pipeline would quote the record.
            changed, confirmed = pipeline.execute(raise_on_error=False)
        for result in (changed, confirmed):
            if isinstance(result, Exception):
                raise result
        primary, replicas = confirmed if self._on_disk else (1, confirmed)
        if not primary:
            return changed, "it was not written to its disk"
        if replicas < self._replicas:
            return changed, f"only {replicas} of {self._replicas} replicas confirmed it"
        return changed, ""

    def close(self) -> None:
        """Close the connections."""
        self.client.close()


class RedisLease:
    """The lease of one Redis key; see ``lease.Lease``."""

    def __init__(self, server: RedisServer, name: bytes, seconds: float) -> None:
        self._server = server
        self._keys = [name]
        self._owner = secrets.token_hex(16)
        self._times = [int(seconds * 1000), int(REMEMBERED * 1000)]

    def acquire(self) -> int | None:
        """Acquire the lease; see ``lease.Lease``."""
        fence = self._run(self._server.acquire, *self._times)
        return None if fence is None else int(fence)

    def extend(self) -> bool:
        """Extend the lease; see ``lease.Lease``."""
        return bool(self._run(self._server.extend, *self._times))

    def release(self) -> None:
        """Release the lease; see ``lease.Lease``."""
        self._run(self._server.release)

    def _run(self, script: Callable[..., Any], *times: int) -> Any:
        result, problem = self._server.run(script, self._keys, [self._owner, *times])
        if problem:
            raise StoreUnreadableError(f"{self._server.where}: cannot be locked: {problem}.")
        return result.value


def _pool(url: Masked[str], timeout: float, connections: int) -> redis.BlockingConnectionPool:
    try:
        pool = redis.BlockingConnectionPool.from_url(
            url.value,
            max_connections=connections,
            timeout=timeout,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            # All commands are idempotent, and the usual reason is that the server closed an idle
            # connection. Timeouts are not retried, because the time is used up.
            retry=Retry(ExponentialBackoff(cap=0.1, base=0.01), 1, (redis.ConnectionError,)),
            # With protocol 3, redis-py's pool does not check whether an idle connection is open.
            protocol=2,
        )
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
