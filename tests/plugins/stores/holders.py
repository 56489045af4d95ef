"""What other processes do with a store that they share; apart, for them to start quickly."""

from __future__ import annotations

import os
from multiprocessing.connection import Connection

from grantway import Store, Token
from grantway._exceptions import LeaseLostError
from tests.plugins.stores.processes import PATIENCE


def save_when_told(store: Store, line: Connection) -> None:
    """Take the lock, and save with its fence once told to."""
    with store.lock("key", PATIENCE) as fence:
        line.send((fence, os.getpid()))
        line.recv()
        try:
            store.save("key", Token("late"), fence=fence)
        except LeaseLostError:
            line.send("LeaseLostError")
        else:
            line.send("saved")


def take_turns(store: Store, line: Connection) -> None:
    """Count in the token under the lock; a file shows that nobody else is inside."""
    times, inside = line.recv()
    fences = []
    for _ in range(times):
        with store.lock("key", PATIENCE) as fence:
            os.close(os.open(inside, os.O_CREAT | os.O_EXCL))
            before = store.load("key")
            turn = 1 if before is None else before.extra["turn"] + 1
            assert before is None or before.extra["fence"] < fence
            token = Token("at", refresh_token="rt", extra={"turn": turn, "fence": fence})
            store.save("key", token, fence=fence)
            inside.unlink()
        fences.append(fence)
    line.send(fences)


def fork(store: Store, line: Connection) -> None:
    """Use the store, fork, and use it on both sides."""
    store.save("key", Token("of the parent"))
    child = os.fork()
    if not child:
        status = 1
        try:
            with store.lock("key", PATIENCE) as fence:
                if store.load("key") == Token("of the parent"):
                    store.save("key", Token("of the child"), fence=fence)
                    status = 0
        finally:
            os._exit(status)
    _child, status = os.waitpid(child, 0)
    seen = store.load("key")
    store.save("key", Token("of the parent"))
    line.send((status, seen, store.load("key")))


def come_up(store: Store, line: Connection) -> None:
    """Use a store for the first time, once told to."""
    line.send("up")
    line.recv()
    line.send(store.load("key"))
