"""Send commands to the server of a key, and repeat them while another server takes over."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from typing import Any

import redis
from redis.exceptions import AskError, MovedError

from grantway._processes.per_loop import PerLoop
from grantway._secrets.masked import Masked
from grantway._types.quantity import MOST_CONNECTIONS, check_count, check_seconds
from grantway_plugins._databases.steps import Steps, Wait, run, run_async

from .clients import Clients, Connecting
from .commands import Call, Command, Confirmation
from .errors import InsecureServerError, LockMissingError, explain, is_temporary
from .location import Node, address, parse
from .topology import UnresolvedError, topology

#: Pauses between attempts in seconds: the first, and the longest.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.5
#: Attempts that are made whatever the limit of time: a failure may only mean that the server of the
#: key has changed.
_ATTEMPTS = 3
#: Failures of redis-py while it sends or connects.
_FAILURES = (redis.RedisError, OSError, InsecureServerError)
#: Limit for repeating commands if there are several servers, in seconds.
_FAILOVER = 15.0


@dataclass(frozen=True, slots=True)
class _Outcome:
    """The outcome of one attempt.

    Attributes:
        result: The command's result.
        problem: The reason of a failure and a remedy; empty on success.
        temporary: Whether another attempt may succeed.
        redirected: Whether the server named another one, which can be tried at once.
        asked: The server to use for the next attempt alone.
    """

    result: Masked[Any] = field(default_factory=lambda: Masked(None))
    problem: str = ""
    temporary: bool = False
    redirected: bool = False
    asked: Node | None = None


class RedisServer:
    """The server of each key, and bounded pools of connections.

    Args:
        url: URL of the server, of Sentinels or of a cluster.
        timeout: Seconds to connect, to wait for a response, and to wait for a free connection.
        connections: Maximum number of open connections in each pool.
        allow_insecure: Whether to accept a server on another host without TLS.
        on_disk: Whether a change waits until it is on disk.
        replicas: Number of replicas that must confirm a change. None means 1 if the servers fail
            over, and otherwise 0.
        failover: Seconds to repeat a command for which no server can be found, or that fails
            temporarily. None means 15 if the servers fail over, and otherwise 0.

    Attributes:
        where: Address of the server without credentials, for errors.
        confirmation: The confirmation that a change waits for.
        failover: See above.
        fences: Fences of the locks that this process holds, by the name of the Redis key.

    Raises:
        ConfigurationError: An option is invalid, or the URL names another host without TLS.
    """

    def __init__(
        self,
        url: Masked[str],
        *,
        timeout: float = 5.0,
        connections: int = 16,
        allow_insecure: bool = False,
        on_disk: bool = False,
        replicas: int | None = None,
        failover: float | None = None,
    ) -> None:
        check_seconds("timeout", timeout, least=0.01)
        check_count("connections", connections, most=MOST_CONNECTIONS)
        if replicas is not None:
            check_count("replicas", replicas, least=0)
        if failover is not None:
            check_seconds("failover", failover, least=0)
        location = parse(url)
        connecting = Connecting(
            location, timeout=timeout, connections=connections, allow_insecure=allow_insecure
        )
        self.where = location.where or address(connecting.first, url)
        self._topology = topology(location)
        several = self._topology.fails_over
        self.failover = (_FAILOVER if several else 0.0) if failover is None else failover
        # Half of the timeout, so that the server responds before this side times out.
        self.confirmation = Confirmation(
            on_disk, int(several) if replicas is None else replicas, int(timeout * 1000 / 2)
        )
        self.fences: dict[bytes, int] = {}
        self._blocking = Clients(connecting.blocking)
        self._loops = PerLoop(lambda: Clients(connecting.asynchronous), Clients.aclose)

    def run(self, command: Command) -> tuple[Masked[Any], str]:
        """Return the command's result and a problem, which is empty on success.

        The caller raises the error, because the frames of redis-py's error contain the record.
        """
        return run(self._steps(command), self._send)

    async def run_async(self, command: Command) -> tuple[Masked[Any], str]:
        """Do the same as ``run`` on the event loop."""
        return await run_async(self._steps(command), self._send_async)

    def close(self) -> None:
        """Close the connections of threads."""
        self._blocking.close()

    async def close_async(self) -> None:
        """Close the connections of the running event loop."""
        await self._loops.close()

    def _send(self, call: Call) -> list[Any]:
        try:
            response = call.send(self._blocking.get(call.node))
        except _FAILURES as failed:
            # Without its frames, because their variables contain the record.
            return [failed.with_traceback(None)]
        for client in self._blocking.surplus():
            client.close()
        return call.results(response)

    async def _send_async(self, call: Call) -> list[Any]:
        clients = self._loops.get()
        try:
            response = await call.send(clients.get(call.node))
        except _FAILURES as failed:
            return [failed.with_traceback(None)]
        for client in clients.surplus():
            await client.aclose()
        return call.results(response)

    def _steps(self, command: Command) -> Steps[tuple[Masked[Any], str]]:
        """Send a command until it succeeds, its error is permanent, or the time is used up."""
        limit = self.failover if command.patience is None else command.patience
        deadline = time.monotonic() + limit
        attempts = _ATTEMPTS if self._topology.fails_over else 1
        pause = _FIRST_PAUSE
        asked: Node | None = None
        while True:
            attempts -= 1
            outcome = yield from self._attempt(command, asked)
            if not outcome.problem:
                return outcome.result, ""
            if not outcome.temporary or (attempts <= 0 and time.monotonic() + pause > deadline):
                return Masked(None), outcome.problem
            asked = outcome.asked
            if attempts <= 0 or not outcome.redirected:
                yield Wait(pause * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
                pause = min(2 * pause, _LONGEST_PAUSE)

    def _attempt(self, command: Command, asked: Node | None) -> Steps[_Outcome]:
        """Send a command once.

        Args:
            command: The command.
            asked: The server to which a slot is moving, if the last attempt named one.
        """
        confirm = command.confirm
        check = self._topology.check if command.reads else ()
        try:
            node = asked or (yield from self._topology.find(command.name))
        except UnresolvedError as unresolved:
            return _Outcome(problem=unresolved.problem, temporary=unresolved.temporary)
        before = [["ASKING"]] if asked else []
        after = [confirm.words] if confirm else [list(check)] if check else []
        results = yield Call(node, *before, command.words, *after)
        error = next((each for each in results if isinstance(each, Exception)), None)
        if error is None and command.reads and self._topology.fails_over:
            role = results[-1] if check else []
            try:
                error = yield from self._check_read(command, node, results[len(before)], role)
            except UnresolvedError as unresolved:
                return _Outcome(problem=unresolved.problem, temporary=unresolved.temporary)
        if error is not None:
            self._topology.failed(node, error)
            return _outcome(node, error)
        result = results[len(before)]
        # Without a result, the command made no change, so there is none to confirm.
        missing = confirm.missing(results[-1]) if confirm and result else ""
        if missing:
            self._topology.failed(node, None)
            problem = f"the change is in the server's memory, but {missing}"
            return _Outcome(
                problem=f"{problem}; retry, or check its disk and replicas", temporary=True
            )
        return _Outcome(result=Masked(result))

    def _check_read(
        self, command: Command, node: Node, result: Any, role: list[Any]
    ) -> Steps[Exception | None]:
        """Return an error if a server's data may be old.

        Args:
            command: A command that reads.
            node: The server.
            result: Its result.
            role: The server's role; empty if it was not asked for.
        """
        if role and not (yield from self._is_primary(command.name, node, role)):
            return redis.ReadOnlyError()
        # The holder of a lock must not use a refresh token that an earlier holder has replaced.
        at = command.fence_at
        if at is not None and self.fences.get(command.name, 0) > int(result[at] or 0):
            return LockMissingError(
                "it does not have the lock that this process holds, so its data is old; retry"
            )
        return None

    def _is_primary(self, name: bytes, node: Node, role: list[Any]) -> Steps[bool]:
        """Return whether a server is the primary of a key, after it has reported its role."""
        if role[0] != b"master":
            return False
        if role[2]:
            return True
        # A primary that failed and starts again takes some seconds to learn that another one has
        # taken over. Until then it has old data, and no replicas.
        self._topology.failed(node, None)
        return (yield from self._topology.find(name)) == node


def _outcome(node: Node, error: Exception) -> _Outcome:
    """Return the outcome of an attempt that failed at a server."""
    problem, temporary = explain(error), is_temporary(error)
    if node.host:  # one of several servers
        problem = f"{node}: {problem}"
    if not isinstance(error, AskError):  # MovedError is derived from it
        return _Outcome(problem=problem, temporary=temporary)
    moving = None if isinstance(error, MovedError) else Node(error.host or node.host, error.port)
    return _Outcome(problem=problem, temporary=True, redirected=True, asked=moving)
