"""Machines of a fleet, simulated by processes that share only a store."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from grantway import Credential, Token
from grantway._types.store import Store
from tests import forked
from tests.fleet.issuer import StrictIssuer
from tests.fleet.worker import GRANT_TYPE, open_store
from tests.interop.program import Program

_ROOT = Path(__file__).parents[2]
_WORKER = Path(__file__).with_name("worker.py")
#: Seconds that a command may take on a busy machine.
_PATIENCE = 60.0

#: Name and options of a store.
StoreOptions = tuple[str, dict[str, Any]]


class _Forked(forked.Popen):
    """A process forked after the worker's module has replaced the clocks and imported grantway."""

    preloaded = (
        "tests.fleet.worker",
        "grantway._credentials.credential",
        "grantway_grants.authorization_code",
        "grantway_grants.device_code",
        "grantway_grants.refresh_token",
        "grantway_plugins.aws._plugin",
        "grantway_plugins.client_auth._plugin",
        "grantway_plugins.dialects._plugin",
        "grantway_plugins.grants.jwt_bearer",
        "grantway_plugins.grants.saml_bearer",
        "grantway_plugins.grants.token_exchange",
        "grantway_plugins.stores.file._store",
        "grantway_plugins.stores.redis._store",
        "grantway_plugins.stores.sql._store",
        "sqlalchemy.dialects.postgresql.psycopg",
        "psycopg",
    )


class Machine:
    """One machine of a fleet.

    Args:
        program: The machine's process.
    """

    def __init__(self, program: Program) -> None:
        self._program = program

    def send(self, do: str, **arguments: Any) -> None:
        """Send a command without waiting for its result."""
        self._program.write_json({"do": do, **arguments})

    def receive(self) -> Any:
        """Return the next result or notification."""
        return self._program.read_json(_PATIENCE)

    def do(self, do: str, **arguments: Any) -> Any:
        """Send a command and return its result."""
        self.send(do, **arguments)
        return self.receive()

    def wait_until_stopped_at(self, place: str) -> None:
        """Wait until the machine reports that it has stopped at a place."""
        assert self.receive() == {"at": place}

    def proceed(self) -> None:
        """Let a stopped machine continue."""
        self._program.write_json({})

    def kill(self) -> None:
        """Kill the machine with SIGKILL."""
        os.kill(self._program.pid, signal.SIGKILL)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Suspend the whole process during the block, like a closed laptop."""
        os.kill(self._program.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._program.pid, signal.SIGCONT)


@dataclass(frozen=True)
class TokenResults:
    """Results of concurrent token requests on several machines.

    Attributes:
        tokens: The distinct access tokens.
        errors: Class name of each error.
        seconds: Duration on the slowest machine.
    """

    tokens: set[str]
    errors: list[str]
    seconds: float


@dataclass(frozen=True)
class Fleet:
    """Machines that share a login.

    Attributes:
        machines: The machines.
        issuer: The issuer of the login.
        store: The shared store, opened by the test; None if there is none.
        credential: A credential for the same token in the test process.
    """

    machines: Sequence[Machine]
    issuer: StrictIssuer
    store: Store | None
    credential: Credential

    @property
    def has_shared_store(self) -> bool:
        """Whether the machines use a store that the test can read."""
        return self.store is not None

    @property
    def stored(self) -> Token | None:
        """The token in the shared store."""
        assert self.store is not None
        return self.store.load(self.credential.key)

    def login_all(self) -> Token:
        """Log in, and give the token to all machines."""
        token = self.issuer.login()
        # The machines' clocks are ahead of this process's clock.
        expires_at = (token.expires_at or 0.0) + self.issuer.passed
        token = replace(token, expires_at=expires_at)
        if self.store is not None:
            self.credential.accept(token)
            return token
        fields = ("access_token", "expires_in", "expires_at", "refresh_token")
        for machine in self.machines:
            machine.do("accept", **{name: getattr(token, name) for name in fields})
        return token

    def advance(self, seconds: float) -> None:
        """Advance the clocks of the issuer and all machines."""
        self.issuer.passed += seconds
        send_to_all(self.machines, "wait_for_refreshes", **{"pass": seconds})

    def request(
        self, machines: Sequence[Machine] = (), timeout: float | None = None
    ) -> TokenResults:
        """Request a token in every thread of all machines, or of some, at once."""
        return combined(send_to_all(machines or self.machines, "request", timeout=timeout))


def send_to_all(machines: Sequence[Machine], do: str, **arguments: Any) -> list[Any]:
    """Send a command to all machines, then return all results."""
    for machine in machines:
        machine.send(do, **arguments)
    return [machine.receive() for machine in machines]


def combined(results: Sequence[Any]) -> TokenResults:
    """Combine the results of several machines."""
    return TokenResults(
        {token for result in results for token in result["tokens"]},
        [error for result in results for error in result["errors"]],
        max(result["seconds"] for result in results),
    )


@contextmanager
def fleet(
    folder: Path,
    issuer: StrictIssuer,
    store: StoreOptions | None,
    *,
    machines: int,
    threads: int,
    stop_at: str = "",
    recheck: float | None = None,
) -> Iterator[Fleet]:
    """Run machines with separate home folders that share a login.

    Args:
        folder: Folder for the home folders.
        issuer: Issuer of the login.
        store: Name and options of the shared store.
        machines: Number of machines.
        threads: Number of threads per machine.
        stop_at: Place where the first machine stops; see ``Worker``.
        recheck: Seconds after which machines compare a held token with the stored one.
    """
    with ExitStack() as running:
        programs = []
        for number in range(machines):
            home = folder / f"machine-{number}"
            programs.append(running.enter_context(_program(home)))
            programs[-1].write_json(
                {
                    "issuer": issuer.url,
                    "client_id": issuer.client_id,
                    "client_secret": issuer.client_secret,
                    "store": store,
                    "threads": threads,
                    "stop_at": "" if number else stop_at,
                    "recheck": recheck,
                }
            )
        for program in programs:
            program.read_json(_PATIENCE)
        shared = store is not None and store[0] != "memory"
        opened = open_store(*store) if store is not None and shared else None
        running.callback(getattr(opened, "close", lambda: None))
        client = running.enter_context(issuer.client())
        credential = client.credential(grant_type=GRANT_TYPE, subject="fleet", store=opened)
        made = Fleet([Machine(each) for each in programs], issuer, opened, credential)
        made.login_all()
        yield made


def _program(home: Path) -> Program:
    work, temporary = home / "work", home / "tmp"
    work.mkdir(parents=True)
    temporary.mkdir()
    env = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    env |= {
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")])),
        "NO_PROXY": "127.0.0.1",
    }
    return Program([sys.executable, _WORKER], cwd=work, env=env, start=_Forked)
