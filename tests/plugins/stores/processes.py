"""Other processes that use a store at the same time, and how they are driven and killed."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from multiprocessing.connection import Connection
from typing import Any, Protocol, cast

from grantway import Store, Token
from tests.forkserver import CONTEXT

#: Seconds within which a new process has come up and answered, on a busy machine.
PATIENCE = 60.0

Opener = Callable[[], Store]


class Work(Protocol):
    """What another process does with the store: a function of a module."""

    def __call__(self, store: Store, line: Connection) -> None: ...


class Peer:
    """Another process at work, and the line to it."""

    def __init__(self, work: Work, again: Opener) -> None:
        self._line, theirs = CONTEXT.Pipe()
        self._process = CONTEXT.Process(target=_run, args=(work, again, theirs), daemon=True)
        self._process.start()
        theirs.close()

    def hear(self) -> Any:
        """What the process says next; fails with its traceback where it failed."""
        assert self._line.poll(PATIENCE), "the other process said nothing"
        said = self._line.recv()
        assert not isinstance(said, Failure), f"the other process failed:\n{said}"
        return said

    def tell(self, what: Any) -> None:
        self._line.send(what)

    def kill(self) -> None:
        """SIGKILL, and wait until it is dead."""
        self._process.kill()
        self._process.join()

    def close(self) -> None:
        self.kill()
        self._line.close()
        self._process.close()


class Failure(str):
    """A traceback on its way to the parent."""

    __slots__ = ()


@contextlib.contextmanager
def peer(work: Work, again: Opener) -> Iterator[Peer]:
    """Another process that works; it is dead when the block ends."""
    with closing(Peer(work, again)) as at_work:
        yield at_work


def opened(store: Store) -> contextlib.AbstractContextManager[Store]:
    """The store, closed at the end where it is one that is closed."""
    if hasattr(store, "close"):
        return cast("contextlib.AbstractContextManager[Store]", closing(cast("Any", store)))
    return contextlib.nullcontext(store)


def _run(work: Work, again: Opener, line: Connection) -> None:
    try:
        with opened(again()) as store:
            work(store, line)
    except BaseException:  # noqa: BLE001 - the parent reports it, whatever it is
        line.send(Failure(traceback.format_exc()))


# --- What the other process can be asked to do -------------------------------------------------


def hold(store: Store, line: Connection) -> None:
    """Hold the lock of ``key`` until told to let go."""
    with store.lock("key", PATIENCE) as fence:
        line.send(fence)
        line.recv()
    line.send("let go")


def read(store: Store, line: Connection) -> None:
    """Say what lies under each key that is asked for."""
    while (key := line.recv()) is not None:
        line.send(store.load(key))


def count(store: Store, line: Connection) -> None:
    """Add one to a number in the store, as often as told, each time under the lock."""
    for _ in range(line.recv()):
        with store.lock("key", PATIENCE) as fence:
            before = store.load("key")
            number = 0 if before is None else int(before.access_token)
            store.save("key", Token(str(number + 1)), fence=fence)
    line.send("done")


def write(store: Store, line: Connection) -> None:
    """Save the letter that is told, in long tokens, until there is something else to hear."""
    letter = line.recv()
    rounds = 0
    while not line.poll():
        store.save("key", long_token(letter))
        rounds += 1
        if rounds == 1:
            line.send("writing")
    line.send(rounds)


def long_token(letter: str) -> Token:
    """A token of one letter, so long that its parts could be seen from two writers."""
    return Token(letter * 3000, refresh_token=letter * 3000)
