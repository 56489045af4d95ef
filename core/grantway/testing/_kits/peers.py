"""Functions that other processes run on a store.

Those processes import this module, so it imports little.
"""

from __future__ import annotations

from multiprocessing.connection import Connection

from grantway._types.store import Store
from grantway._types.token import Token

from .processes import PATIENCE


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
