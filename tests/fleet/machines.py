"""Machines of a fleet: processes that share nothing but what they are told of a store."""

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
from tests.fleet.issuer import StrictIssuer
from tests.fleet.worker import GRANT_TYPE, open_store
from tests.interop.program import Program

_ROOT = Path(__file__).parents[2]
_WORKER = Path(__file__).with_name("worker.py")
#: Seconds that an order may take, on a busy machine.
_PATIENCE = 60.0

#: Name and options, as each machine opens it.
StoreOptions = tuple[str, dict[str, Any]]


class Machine:
    """One of a fleet.

    Args:
        program: The process.
    """

    def __init__(self, program: Program) -> None:
        self._program = program

    def tell(self, do: str, **order: Any) -> None:
        """Give an order, and do not wait."""
        self._program.write_json({"do": do, **order})

    def hear(self) -> Any:
        """The answer to the first order that has none yet."""
        return self._program.read_json(_PATIENCE)

    def do(self, do: str, **order: Any) -> Any:
        """Give an order, and wait until it is carried out."""
        self.tell(do, **order)
        return self.hear()

    def hears_that_it_is(self, place: str) -> None:
        """Wait until it has come to where it stops."""
        assert self.hear() == {"at": place}

    def go_on(self) -> None:
        """Let it go on from there."""
        self._program.write_json({})

    def kill(self) -> None:
        """End it at once, with nothing said to anybody."""
        os.kill(self._program.pid, signal.SIGKILL)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """As a laptop that is shut: none of its threads runs until the block ends."""
        os.kill(self._program.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._program.pid, signal.SIGCONT)


@dataclass(frozen=True)
class Answer:
    """What the threads of all machines got when they asked at one moment.

    Attributes:
        tokens: The different access tokens.
        errors: The names of the errors, one a caller.
        seconds: What the slowest machine took.
    """

    tokens: set[str]
    errors: list[str]
    seconds: float


@dataclass(frozen=True)
class Fleet:
    """Machines that share a login.

    Attributes:
        machines: They.
        issuer: Where all are logged in.
        store: Opened by the test for itself; None where the machine keeps its token alone.
        credential: Of the same token, in the test.
    """

    machines: Sequence[Machine]
    issuer: StrictIssuer
    store: Store | None
    credential: Credential

    @property
    def stored_anywhere(self) -> bool:
        """Whether the test sees what the machines have stored."""
        return self.store is not None

    @property
    def stored(self) -> Token | None:
        """What rests in the store."""
        assert self.store is not None
        return self.store.load(self.credential.key)

    def log_in(self) -> Token:
        """Let a person log in."""
        token = self.issuer.login()
        # By the clock of the machines, which is not this process's.
        ends = (token.expires_at or 0.0) + self.issuer.passed
        token = replace(token, expires_at=ends)
        if self.store is not None:
            self.credential.accept(token)
            return token
        fields = ("access_token", "expires_in", "expires_at", "refresh_token")
        for machine in self.machines:
            machine.do("accept", **{name: getattr(token, name) for name in fields})
        return token

    def let_pass(self, seconds: float) -> None:
        """Let time pass, for the issuer and for all machines, and nobody wait for it."""
        self.issuer.passed += seconds
        together(self.machines, "quiet", **{"pass": seconds})

    def ask(self, machines: Sequence[Machine] = (), timeout: float | None = None) -> Answer:
        """Let all threads of all machines, or of some, ask for a token at once."""
        return gathered(together(machines or self.machines, "ask", timeout=timeout))


def together(machines: Sequence[Machine], do: str, **order: Any) -> list[Any]:
    """Give the same order to all, then hear all."""
    for machine in machines:
        machine.tell(do, **order)
    return [machine.hear() for machine in machines]


def gathered(answers: Sequence[Any]) -> Answer:
    """What several machines answered, as one."""
    return Answer(
        {token for answer in answers for token in answer["tokens"]},
        [error for answer in answers for error in answer["errors"]],
        max(answer["seconds"] for answer in answers),
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
) -> Iterator[Fleet]:
    """Machines with homes of their own, logged in.

    Args:
        folder: Where their homes are made.
        issuer: Who logs them in.
        store: What they share.
        machines: How many.
        threads: How many threads of each ask.
        stop_at: Where the first machine stops; see ``Worker``.
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
        made.log_in()
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
    return Program([sys.executable, _WORKER], cwd=work, env=env)
