"""The connections to a Redis or Valkey server, and the lease of a key there."""

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
    """A bounded pool of connections, and the scripts that run at their other end.

    Args:
        url: Of the server.
        timeout: Seconds to connect, to wait for an answer, and for a free connection.
        connections: How many are kept open at most.
        allow_insecure: Whether a server on another host may do without TLS.

    Attributes:
        where: The server as an error may name it.
        client: Sends commands.

    Raises:
        ConfigurationError: the URL is none of a server, or one without TLS of another host.
    """

    def __init__(
        self, url: Masked[str], *, timeout: float, connections: int, allow_insecure: bool
    ) -> None:
        pool = _pool(url, timeout, connections)
        if not issubclass(pool.connection_class, redis.SSLConnection):
            local = issubclass(pool.connection_class, redis.UnixDomainSocketConnection)
            host = str(pool.connection_kwargs.get("host", "localhost"))
            require_encrypted(
                [] if local else [host], allow_insecure=allow_insecure, remedy="use rediss://"
            )
        self.where = _place(pool.connection_kwargs, url)
        self.client: redis.Redis = redis.Redis.from_pool(pool)
        self.take = self.client.register_script(scripts.TAKE)
        self.renew = self.client.register_script(scripts.RENEW)
        self.give_up = self.client.register_script(scripts.GIVE_UP)
        self.change = self.client.register_script(scripts.CHANGE)

    def ask(self, work: Callable[[], Any]) -> tuple[Masked[Any], str]:
        """What the work gives, or what its failure means; raised by who asks.

        The error itself holds the command, and so the record, in the locals of its frames.
        """
        try:
            return Masked(work()), ""
        except (redis.RedisError, OSError) as failed:
            return Masked(None), explain(failed)

    def close(self) -> None:
        """Close the connections."""
        self.client.close()


class RedisLease:
    """See ``lease.Lease``."""

    def __init__(self, server: RedisServer, name: bytes, seconds: float) -> None:
        self._server = server
        self._keys = [name]
        self._owner = secrets.token_hex(16)
        self._times = [int(seconds * 1000), int(REMEMBERED * 1000)]

    def take(self) -> int | None:
        """See ``lease.Lease``."""
        fence = self._ask(self._server.take, *self._times)
        return None if fence is None else int(fence)

    def renew(self) -> bool:
        """See ``lease.Lease``."""
        return bool(self._ask(self._server.renew, *self._times))

    def give_up(self) -> None:
        """See ``lease.Lease``."""
        self._ask(self._server.give_up)

    def _ask(self, script: Callable[..., Any], *times: int) -> Any:
        answer, problem = self._server.ask(lambda: script(self._keys, [self._owner, *times]))
        if problem:
            raise StoreUnreadableError(f"{self._server.where}: cannot be locked: {problem}.")
        return answer.value


def _pool(url: Masked[str], timeout: float, connections: int) -> redis.BlockingConnectionPool:
    try:
        pool = redis.BlockingConnectionPool.from_url(
            url.value,
            max_connections=connections,
            timeout=timeout,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            # What is asked twice has the same effect, and a connection that the server closed
            # while it was idle is the usual reason. Not after a timeout, which was the limit.
            retry=Retry(ExponentialBackoff(cap=0.1, base=0.01), 1, (redis.ConnectionError,)),
            # The older protocol: the newer one's pool does not look whether a connection that was
            # idle is still open.
            protocol=2,
        )
        # Made and not connected: it knows which options of the URL there are.
        pool.connection_class(**pool.connection_kwargs)
    except (TypeError, ValueError, redis.RedisError):
        pass
    else:
        return pool
    # Outside of the except block: the error quotes the URL, or parts of it.
    rule = "must be like rediss://USER:PASSWORD@HOST:PORT/0, with options that redis-py knows"
    raise ConfigurationError(f"url: {rule}.", errors={"url": [rule]})


def _place(options: dict[str, Any], url: Masked[str]) -> str:
    """The server as an error may name it: no user, no password, no options."""
    scheme = urlsplit(url.value).scheme
    if scheme == "unix":
        return f"unix://{options.get('path', '')}"
    return (
        f"{scheme}://{options.get('host', 'localhost')}:{options.get('port', 6379)}"
        f"/{options.get('db', 0)}"
    )
