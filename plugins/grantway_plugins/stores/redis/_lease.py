"""The lease of one key, on a Redis or Valkey server."""

from __future__ import annotations

import secrets
from typing import Any

from grantway._exceptions import StoreUnreadableError
from grantway_plugins._databases.steps import Steps
from grantway_plugins._redis.commands import Command, Confirmation, script
from grantway_plugins._redis.server import RedisServer
from grantway_plugins.stores._shared.lease import REMEMBERED

from . import _scripts as scripts


class RedisLease:
    """The lease of one Redis key; see ``lease.Lease``.

    Replicas confirm that it was acquired, if they confirm saves: otherwise two machines could
    hold it after a failover, and use one refresh token twice.

    Args:
        server: The servers.
        name: Name of the Redis key.
        seconds: Duration of the lease.
        timeout: Longest wait for the lease in seconds.
    """

    def __init__(self, server: RedisServer, name: bytes, seconds: float, timeout: float) -> None:
        self._server, self._name = server, name
        self._owner = secrets.token_hex(16)
        self._times = [int(seconds * 1000), int(REMEMBERED * 1000)]
        self._timeout = timeout
        self._fence = 0
        saved = server.confirmation
        # A lease need not be on disk: it has expired when a server has loaded its data, or nearly.
        self._confirm = Confirmation(False, saved.replicas, saved.milliseconds)

    def acquire(self) -> Steps[int | None]:
        """Acquire the lease; see ``lease.Lease``."""
        patience = min(self._timeout, self._server.failover)
        fence, problem = yield self._command(
            scripts.ACQUIRE, *self._times, confirm=self._confirm, patience=patience
        )
        if problem:
            if self._confirm:
                # It may have been acquired without a confirmation: do not let others wait for it.
                yield self._command(scripts.RELEASE)
            raise self._error(problem)
        if fence.value is None:
            return None
        self._fence = self._server.fences[self._name] = int(fence.value)
        return self._fence

    def extend(self) -> Steps[bool]:
        """Extend the lease; see ``lease.Lease``."""
        extended, problem = yield self._command(scripts.EXTEND, *self._times, confirm=self._confirm)
        if problem:
            raise self._error(problem)
        return bool(extended.value)

    def release(self) -> Steps[None]:
        """Release the lease; see ``lease.Lease``."""
        if self._server.fences.get(self._name) == self._fence:
            self._server.fences.pop(self._name, None)
        _released, problem = yield self._command(scripts.RELEASE)
        if problem:
            raise self._error(problem)

    def _command(
        self,
        code: str,
        *times: int,
        confirm: Confirmation | None = None,
        patience: float = 0.0,
    ) -> Command:
        words: list[Any] = script(code, self._name, self._owner, *times)
        return Command(self._name, words, confirm=confirm, patience=patience)

    def _error(self, problem: str) -> StoreUnreadableError:
        return StoreUnreadableError(f"{self._server.where}: cannot be locked: {problem}.")
