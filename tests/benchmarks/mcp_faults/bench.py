"""Programs with one client, and what is measured of them."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests import unmeasured
from tests.benchmarks.mcp_faults.record import Answer, Server
from tests.benchmarks.mcp_faults.world import HOUR, World
from tests.faults import Received
from tests.interop.program import Program, ProgramError

#: Seconds after which a client that does not answer is killed.
LIMIT = 40.0
GOOD, FAIR, BAD = _ORDER = ("✓", "○", "✗")
#: Mark of a scenario that only measures.
MEASURED = ""
_ROOT = Path(__file__).parents[3]
_WORKER = [sys.executable, "-m", "tests.benchmarks.mcp_faults.worker"]


@dataclass(frozen=True)
class Outcome:
    """What a client did in one scenario.

    Attributes:
        mark: ``GOOD`` for the best possible outcome; ``BAD`` if the user had to log in without
            need, a secret was sent to a wrong server, or a forbidden document was accepted;
            otherwise ``FAIR``.
        text: What happened, in few words.
        logins: Number of logins after the first one.
        failed: Number of failed requests.
        errors: Distinct errors.
    """

    mark: str
    text: str
    logins: int = 0
    failed: int = 0
    errors: list[str] = field(default_factory=list)

    def at_most(self, mark: str) -> Outcome:
        """Return the outcome with a mark that is not better than another one."""
        return replace(self, mark=max(self.mark, mark, key=_ORDER.index))

    def to_json(self) -> dict[str, Any]:
        """Return the outcome as JSON, without the messages of errors, which contain ports."""
        return {**asdict(self), "errors": sorted({each.partition(":")[0] for each in self.errors})}


class Client:
    """A process with a client."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self.alive = True

    @property
    def pid(self) -> int:
        """The process ID."""
        return self._program.pid

    def send(self, do: str, **arguments: Any) -> None:
        """Send a command without waiting for its result."""
        self._program.write_json({"do": do, **arguments})

    def receive(self) -> Any:
        """Return the result of the last command.

        Raises:
            ProgramError: The process exited or did not answer, and has been stopped.
        """
        try:
            return self._program.read_json(LIMIT)
        except ProgramError:
            self.stop()
            raise

    def do(self, do: str, **arguments: Any) -> Any:
        """Send a command and return its result."""
        self.send(do, **arguments)
        return self.receive()

    def stop(self) -> None:
        """Stop the process."""
        self.alive = False
        self._program.stop()


class Bench:
    """The servers and processes of one scenario with one client.

    Args:
        client: Name of the client.

    Attributes:
        failures: The error of each failed request.
        requests: Number of requests.
    """

    def __init__(self, client: str) -> None:
        self._client = client
        self._stack = ExitStack()
        self._clients: list[Client] = []
        self.failures: list[str] = []
        self.requests = 0

    def __enter__(self) -> Self:
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def enter(self, context: Any) -> Any:
        """Enter a context until the scenario ends."""
        return self._stack.enter_context(context)

    def open_server(self, name: str, healthy: Callable[[Received], Answer]) -> Server:
        """Start another server."""
        server = Server(name, self.world.record, lambda _received: "other", healthy)
        server.start()
        self._stack.callback(server.stop)
        return server

    def open_world(self, **options: Any) -> World:
        """Start the servers."""
        self.world: World = self._stack.enter_context(World(**options))
        return self.world

    def start(self, *, redis: str = "", wrong: float = 0.0, **environment: str) -> Client:
        """Start a process with the client.

        Args:
            redis: URL of the Valkey server with the stored login, instead of a folder.
            wrong: Seconds by which its clock is ahead.
            **environment: More environment variables.
        """
        env = {**unmeasured.environment(), **environment}
        program = self._stack.enter_context(Program(_WORKER, cwd=_ROOT, env=env))
        program.write_json(
            {
                "client": self._client,
                "url": self.world.url,
                "folder": str(self.folder),
                "redis": redis,
                "clock": {"passed": self.world.passed, "wrong": wrong},
            }
        )
        client = Client(program)
        client.receive()
        self._clients.append(client)
        return client

    def pass_time(self, seconds: float = HOUR + 1) -> None:
        """Let time pass, so that access tokens expire."""
        self.world.passed += seconds
        for each in self._clients:
            if each.alive:
                each.do("clock", passed=self.world.passed)

    def call(self, *clients: Client, count: int = 1, tool: str = "read") -> list[str]:
        """Send concurrent requests from each client at once, and return their errors."""
        for each in clients:
            each.send("call", count=count, tool=tool)
        found: list[str] = []
        for each in clients:
            try:
                found += each.receive()["outcomes"]
            except ProgramError as error:
                killed = "exited" in str(error)
                ended = "the process was killed" if killed else f"no answer in {LIMIT:.0f} s"
                found += [ended] * count
        self.requests += len(found)
        failed = [each for each in found if each]
        self.failures += failed
        return failed

    def log_in(self, client: Client) -> None:
        """Log in for the first time.

        Raises:
            RuntimeError: The login failed, although there was no fault.
        """
        if failed := self.call(client):
            raise RuntimeError(f"{self._client} cannot log in: {failed[0]}")
        self.requests = 0

    def logins(self, expected: int = 1) -> int:
        """Return the number of logins after the expected ones."""
        return len(self.world.record.logins()) - expected

    def errors(self) -> list[str]:
        """Return the distinct errors, without their messages."""
        return sorted({each.partition(":")[0] for each in self.failures})

    def kept(self, *notes: str, logins: int = 0) -> Outcome:
        """Return the outcome of a scenario in which the login should be kept.

        Args:
            *notes: More words on what happened.
            logins: Number of logins that cannot be avoided after the first one.
        """
        more, failed = max(0, self.logins()), len(self.failures)
        sent = self.world.record.misdirected()
        parts = [each for each in notes if each]
        if more:
            parts.append(_count(more, "login"))
        if failed:
            parts.append(f"{failed} of {self.requests} failed ({', '.join(self.errors())})")
        mark = BAD if more > logins or sent else FAIR if failed else GOOD
        return Outcome(mark, "; ".join([*parts, *sent]), more, failed, sorted(set(self.failures)))

    def rejected(self, *notes: str) -> Outcome:
        """Return the outcome of a first request that should fail before the user logs in."""
        logins, sent = self.logins(0), self.world.record.misdirected()
        parts = [each for each in notes if each]
        parts.append(f"rejected ({', '.join(self.errors())})" if self.failures else "accepted")
        if logins:
            parts.append("after a login" if self.failures else "logged in")
        mark = GOOD if self.failures and not logins and not sent else BAD
        failures = sorted(set(self.failures))
        return Outcome(mark, "; ".join([*parts, *sent]), logins, len(failures), failures)

    def refreshed(self) -> str:
        """Return the number of refresh requests, in words."""
        return _count(self.world.refreshes, "refresh", "es")


def is_worse(mark: str, than: str) -> bool:
    """Return whether a mark is worse than another one."""
    return mark in _ORDER and _ORDER.index(mark) > _ORDER.index(than)


def _count(number: int, noun: str, ending: str = "s") -> str:
    return f"{number} {noun}{'' if number == 1 else ending}"


Scenario = Callable[[Bench], Outcome]
