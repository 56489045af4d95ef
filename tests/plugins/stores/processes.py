"""Processes that use a store concurrently, controlled by a test through a pipe."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from multiprocessing.connection import Connection
from typing import Any, Protocol, cast

from grantway import Store, Token
from tests.forkserver import CONTEXT

#: Seconds that a new process may take to start and respond on a busy machine.
PATIENCE = 60.0

Opener = Callable[[], Store]


class PeerFunction(Protocol):
    """A function that another process runs on the store. It must be picklable."""

    def __call__(self, store: Store, line: Connection) -> None: ...


class Peer:
    """Another process, and the pipe to it."""

    def __init__(self, function: PeerFunction, reopen: Opener) -> None:
        self._line, theirs = CONTEXT.Pipe()
        self._process = CONTEXT.Process(target=_run, args=(function, reopen, theirs), daemon=True)
        self._process.start()
        theirs.close()

    def receive(self) -> Any:
        """Return the process's next message; fail with its traceback if it failed."""
        assert self._line.poll(PATIENCE), "the other process sent no message"
        message = self._line.recv()
        assert not isinstance(message, Failure), f"the other process failed:\n{message}"
        return message

    def send(self, message: Any) -> None:
        self._line.send(message)

    def kill(self) -> None:
        """Send SIGKILL and wait for the process to exit."""
        self._process.kill()
        self._process.join()

    def close(self) -> None:
        self.kill()
        self._line.close()
        self._process.close()


class Failure(str):
    """A traceback that a process sends to its parent."""

    __slots__ = ()


@contextlib.contextmanager
def peer(function: PeerFunction, reopen: Opener) -> Iterator[Peer]:
    """Run a function in another process, which is killed at the end of the block."""
    with closing(Peer(function, reopen)) as process:
        yield process


def opened(store: Store) -> contextlib.AbstractContextManager[Store]:
    """Return a context manager that closes the store if it has a ``close`` method."""
    if hasattr(store, "close"):
        return cast("contextlib.AbstractContextManager[Store]", closing(cast("Any", store)))
    return contextlib.nullcontext(store)


def _run(function: PeerFunction, reopen: Opener, line: Connection) -> None:
    try:
        with opened(reopen()) as store:
            function(store, line)
    except BaseException:  # noqa: BLE001 - the parent reports any error
        line.send(Failure(traceback.format_exc()))


# --- Functions for the other process -----------------------------------------------------------


def hold(store: Store, line: Connection) -> None:
    """Hold the lock of ``key`` until a message arrives."""
    with store.lock("key", PATIENCE) as fence:
        line.send(fence)
        line.recv()
    line.send("released")


def read(store: Store, line: Connection) -> None:
    """Send the token of each key that is received."""
    while (key := line.recv()) is not None:
        line.send(store.load(key))


def count(store: Store, line: Connection) -> None:
    """Increment a number in the store, under the lock, as many times as received."""
    for _ in range(line.recv()):
        with store.lock("key", PATIENCE) as fence:
            before = store.load("key")
            number = 0 if before is None else int(before.access_token)
            store.save("key", Token(str(number + 1)), fence=fence)
    line.send("done")


def write(store: Store, line: Connection) -> None:
    """Save long tokens of the received letter until another message arrives."""
    letter = line.recv()
    rounds = 0
    while not line.poll():
        store.save("key", long_token(letter))
        rounds += 1
        if rounds == 1:
            line.send("writing")
    line.send(rounds)


def long_token(letter: str) -> Token:
    """Return a token of one letter, long enough to reveal mixed writes."""
    return Token(letter * 3000, refresh_token=letter * 3000)
