"""Processes that use a store concurrently, controlled by a test through a pipe.

They import this module, so it does not import pytest.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from multiprocessing.connection import Connection
from typing import Any, Protocol, cast

from grantway._types.store import Store

#: Seconds that a new process may take to start and respond on a busy machine.
PATIENCE = 60.0

#: Opens a store, also in another process, so it must be picklable.
Opener = Callable[[], Store]


def _context() -> Any:
    """Return how to start processes: unlike forks, they inherit no locks, sockets and threads."""
    quick = "forkserver" in multiprocessing.get_all_start_methods()
    return multiprocessing.get_context("forkserver" if quick else "spawn")


class PeerFunction(Protocol):
    """A function that another process runs on the store. It must be picklable."""

    def __call__(self, store: Store, line: Connection) -> None: ...


class Peer:
    """Another process, and the pipe to it."""

    def __init__(self, function: PeerFunction, reopen: Opener) -> None:
        context = _context()
        self._line, theirs = context.Pipe()
        self._process = context.Process(target=_run, args=(function, reopen, theirs), daemon=True)
        self._process.start()
        theirs.close()

    def receive(self) -> Any:
        """Return the process's next message; fail with its traceback if it failed."""
        assert self._line.poll(PATIENCE), "the other process sent no message"
        message = self._line.recv()
        assert not isinstance(message, Failure), f"the other process failed:\n{message}"
        return message

    def send(self, message: Any) -> None:
        """Send a message to the process."""
        self._line.send(message)

    def kill(self) -> None:
        """Send SIGKILL and wait for the process to exit."""
        self._process.kill()
        self._process.join()

    def close(self) -> None:
        """Kill the process, and close the pipe."""
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
